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
LOOK = 20
"""Steps between two looks at what is solved."""
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

    def outside(self, flat: Tensor) -> Tensor:
        """Return the part of fields (P, D) that is outside the band."""
        images = flat.view(len(flat), self.channels, *self.mask.shape)
        return flat - passed(images, self.mask).flatten(1)

    def _solve(self, cuts: Cuts, x0: Tensor) -> tuple[Tensor, Tensor]:
        """Return delta (P, D), within [0, 1], and whether it was found (P,); sets multipliers."""
        climb = _Climb(self, cuts, x0)
        for number in range(STEPS // LOOK):
            climb.steps(LOOK)
            climb.look(last=number == STEPS // LOOK - 1)
            if len(climb.rows) == 0:
                break
        cuts.multipliers = climb.multipliers
        return climb.result, climb.found


class _Climb:
    """The dual steps of pairs that are still open."""

    def __init__(self, room: BandBox, cuts: Cuts, x0: Tensor) -> None:
        self.room = room
        self.result, self.multipliers = torch.zeros_like(x0), cuts.multipliers.clone()
        self.found = torch.zeros(len(x0), dtype=torch.bool, device=x0.device)
        self.rows = torch.arange(len(x0), device=x0.device)
        used = cuts.used.to(x0.dtype)
        gram = torch.bmm(cuts.normals, cuts.normals.transpose(1, 2)).abs()
        rate = 1 / (gram * used[:, None] * used[:, :, None]).sum(2).amax(1).clamp_min(1.0)
        m, nu = cuts.multipliers.clone(), torch.zeros_like(x0)
        self.state = {
            "low": room.low - x0, "high": room.high - x0, "normals": cuts.normals,
            "offsets": cuts.offsets, "used": used, "rate": rate[:, None],
            "m": m, "nu": nu, "ahead_m": m, "ahead_nu": nu, "age": torch.ones_like(rate)[:, None],
        }  # fmt: skip

    def primal(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return delta (p, D), what is missing of the cuts (p, M), delta outside the band."""
        s = self.state
        pushed = torch.bmm(s["ahead_m"][:, None], s["normals"])[:, 0] + s["ahead_nu"]
        delta = torch.clamp(pushed, s["low"], s["high"])
        gained = torch.bmm(s["normals"], delta[:, :, None])[:, :, 0]
        return delta, (s["offsets"] - gained) * s["used"], self.room.outside(delta)

    def steps(self, count: int) -> None:
        """Take some accelerated steps; momentum is dropped where it leads downwards."""
        s = self.state
        for _ in range(count):
            _, missing, outside = self.primal()
            m = (s["ahead_m"] + s["rate"] * missing).clamp_min(0) * s["used"]
            nu = s["ahead_nu"] - s["rate"] * outside
            up = (missing * (m - s["m"])).sum(1) - (outside * (nu - s["nu"])).sum(1)
            age = torch.where(up[:, None] < 0, 1.0, s["age"])
            later = (1 + (1 + 4 * age.square()).sqrt()) / 2
            weight = (age - 1) / later
            s["ahead_m"] = (m + weight * (m - s["m"])).clamp_min(0)
            s["ahead_nu"] = nu + weight * (nu - s["nu"])
            s["m"], s["nu"], s["age"] = m, nu, later

    def look(self, last: bool) -> None:
        """Keep what is solved, drop it and what is out of reach from the open pairs."""
        s = self.state
        delta, missing, outside = self.primal()
        size = torch.linalg.vector_norm(delta, dim=1)
        priced = s["ahead_m"] * missing
        solved = torch.linalg.vector_norm(outside, dim=1) <= EXACT * size
        solved &= missing.amax(1) <= EXACT * s["offsets"].abs().amax(1)
        solved &= priced.abs().sum(1) <= EXACT * size.square()
        # weak duality: the nearest is at least so far
        bound = size.square() / 2 + priced.sum(1) - (s["ahead_nu"] * outside).sum(1)
        far = bound > (FAR * s["offsets"].clamp_min(0).amax(1)).square() / 2
        ended = solved | far | last
        rows = self.rows[ended]
        self.result[rows], self.multipliers[rows] = delta[ended], s["ahead_m"][ended]
        self.found[rows] = solved[ended]
        self.rows = self.rows[~ended]
        self.state = {name: value[~ended] for name, value in s.items()}
