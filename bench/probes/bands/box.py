"""Perturbations that lie in a band and leave images in [0, 1], strictly.

The nearest one under cuts solves a convex problem with one constraint a pixel. Its dual has
multipliers m >= 0 of the cuts and nu, any field outside the band:

    delta = clip(sum of m_k normal_k + nu, -x0, 1 - x0),

and its gradients are what is missing of the cuts and the part of -delta outside the band. It is
climbed with accelerated steps (Nesterov 1983, restarted as O'Donoghue and Candes 2015). The dual's
value is a lower bound of |delta|^2 / 2: where it proves that the nearest is farther than FAR times
that without bounds, the plane is out of reach.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from bench.attacks.minimum.cuts import Cuts
from bench.attacks.minimum.options import Norm
from bench.attacks.minimum.room import Room
from bench.spectrum import passed

FAR = 16.0
"""Times the distance without bounds from which a plane counts as out of reach."""
STEPS = 600
"""Largest number of dual steps."""
EXACT = 5e-4
"""What may be missing of a cut, and lie outside the band, relative."""


@dataclass(frozen=True)
class BandBox(Room):
    """Images in [0, 1] whose perturbation lies in a band.

    Attributes:
        mask: (H, W) of 0 and 1, Hermitian; normals must lie in the band.
        channels: of images.
    """

    mask: Tensor = field(default_factory=lambda: torch.ones(1, 1))
    channels: int = 1

    def plane(
        self, x0: Tensor, normal: Tensor, offset: Tensor, norm: Norm
    ) -> tuple[Tensor, Tensor]:
        """As of `Room`, in L2."""
        assert norm == "l2", "bands are measured in L2"
        cuts = Cuts.first(normal, offset, 1)
        delta, reached = self._solve(cuts, x0)
        size = torch.linalg.vector_norm(delta, dim=1)
        return delta, torch.where(reached, size, torch.inf)

    def nearest(self, cuts: Cuts, x0: Tensor, rounds: int, now: int) -> Tensor:
        """As of `Room`."""
        return self._solve(cuts, x0)[0]

    def _outside(self, flat: Tensor) -> Tensor:
        images = flat.view(len(flat), self.channels, *self.mask.shape)
        return flat - passed(images, self.mask).flatten(1)

    def _solve(self, cuts: Cuts, x0: Tensor) -> tuple[Tensor, Tensor]:
        """Return delta (P, D), within [0, 1], and whether it was found (P,); sets multipliers."""
        low, high = self.low - x0, self.high - x0
        normals, offsets, used = cuts.normals, cuts.offsets, cuts.used
        gram = torch.bmm(normals, normals.transpose(1, 2)).abs() * used[:, None] * used[:, :, None]
        rate = 1 / gram.sum(2).amax(1).clamp_min(1.0)
        m, nu = cuts.multipliers.clone(), torch.zeros_like(x0)
        mm, nn, age = m, nu, torch.ones_like(rate)
        limit = (FAR * offsets.clamp_min(0).amax(1)).square() / 2
        done = torch.zeros_like(rate, dtype=torch.bool)
        found, result = done.clone(), torch.zeros_like(x0)
        for number in range(STEPS):
            pushed = torch.bmm(mm[:, None], normals)[:, 0] + nn
            delta = torch.clamp(pushed, low, high)
            missing = (offsets - torch.bmm(normals, delta[:, :, None])[:, :, 0]) * used
            outside = self._outside(delta)
            if number % 10 == 0:
                size = torch.linalg.vector_norm(delta, dim=1)
                off = torch.linalg.vector_norm(outside, dim=1) <= EXACT * size
                short = missing.amax(1) <= EXACT * offsets.abs().amax(1)
                slack = (mm * missing).abs().sum(1) <= EXACT * size.square()
                value = size.square() / 2 + (mm * missing).sum(1) - (nn * outside).sum(1)
                good = ~done & off & short & slack
                result = torch.where(good[:, None], delta, result)
                cuts.multipliers = torch.where(good[:, None], mm, cuts.multipliers)
                found |= good
                done |= good | (value > limit)
                if bool(done.all()):
                    break
            next_m = (mm + rate[:, None] * missing).clamp_min(0) * used
            next_nu = nn - rate[:, None] * outside
            turned = ((missing * (next_m - m)).sum(1) - (outside * (next_nu - nu)).sum(1)) < 0
            age = torch.where(turned, 1.0, age)
            later = (1 + (1 + 4 * age.square()).sqrt()) / 2
            weight = ((age - 1) / later)[:, None]
            mm, nn = next_m + weight * (next_m - m), next_nu + weight * (next_nu - nu)
            mm = mm.clamp_min(0)
            m, nu, age = next_m, next_nu, later
        return torch.where(found[:, None], result, delta), found
