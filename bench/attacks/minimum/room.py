"""Where perturbations may lie: between which values images stay, and how to get nearest there.

The search knows its room only through this class. Bounds are of images; everything is written in
delta = z - x0. A room that holds perturbations to a subspace overrides the two projections.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from bench.attacks.minimum.cuts import Cuts
from bench.attacks.minimum.options import Norm
from bench.attacks.minimum.plane import to_free_plane, to_plane
from bench.attacks.minimum.project_l2 import project_l2


@dataclass(frozen=True)
class Room:
    """All images with values between two bounds.

    Attributes:
        low, high: bounds of images; infinite: none.
    """

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        bounds = (self.low, self.high)
        assert bounds in ((0.0, 1.0), (-math.inf, math.inf)), f"no room between {bounds}"

    @property
    def free(self) -> bool:
        """Whether images have no bounds."""
        return math.isinf(self.high)

    def inside(self, x: Tensor) -> Tensor:
        """Return images (...) with what is out of bounds at its bound; may write into `x`."""
        return x if self.free else x.clamp_(self.low, self.high)

    def plane(
        self, x0: Tensor, normal: Tensor, offset: Tensor, norm: Norm
    ) -> tuple[Tensor, Tensor]:
        """Return the smallest delta with normal . delta = offset, and its norm.

        Args:
            x0: (P, D), clean images in bounds.
            normal: (P, D) unit normals, all zero where there is no gradient.
            offset: (P,) >= 0.
            norm: "l2" or "linf".

        Returns:
            delta (P, D) and distances (P,): infinite where the plane is out of reach; delta is then
            as far as the room goes.
        """
        return (to_free_plane if self.free else to_plane)(x0, normal, offset, norm)

    def nearest(self, cuts: Cuts, x0: Tensor, rounds: int, now: int) -> Tensor:
        """Return argmin |delta|_2 (P, D) under all cuts; sets their multipliers.

        Args:
            cuts: of P pairs; at `now` = 0 one each.
            x0: (P, D), clean images in bounds.
            rounds: Newton steps on the multipliers.
            now: number of the search's step.
        """
        low, high = self.low - x0, self.high - x0
        if now > 0:
            return project_l2(cuts, low, high, rounds)
        delta, _ = self.plane(x0, cuts.normals[:, 0], cuts.offsets[:, 0].clamp_min(0), "l2")
        free = (delta > low) & (delta < high)
        squares = (cuts.normals[:, 0] * free).square().sum(1)
        along = (delta * cuts.normals[:, 0] * free).sum(1)
        cuts.multipliers[:, 0] = along / squares.clamp_min(1e-12)
        return delta


IMAGES = Room()
"""Images in [0, 1]."""
FREE = Room(-math.inf, math.inf)
"""Images without bounds."""
