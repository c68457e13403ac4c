"""Pairs of image and class on their way, and the best that each image has."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import torch
from torch import Tensor

from bench.attacks.minimum.cuts import Cuts

REASONS = ("going", "kkt", "slow", "lost", "steps", "exact", "nonfinite", "no gradient")
GOING, KKT, SLOW, LOST, STEPS, EXACT, NONFINITE, FLAT = range(len(REASONS))
"""Why a pair stops: stationary; no progress; another class of the image is nearer; out of steps;
the model was linear all the way; a NaN or infinite value; a gradient of exactly zero."""


@dataclass
class Best:
    """The nearest adversarial perturbation of each image so far."""

    delta: Tensor
    """(B, D)."""
    distance: Tensor
    """(B,); infinite where there is none."""

    def record(self, index: Tensor, delta: Tensor, distance: Tensor, fooled: Tensor) -> None:
        """Take the nearest adversarial points (n, D) of images `index` (n,)."""
        d = torch.where(fooled & distance.isfinite(), distance, torch.inf)
        least = self.distance.scatter_reduce(0, index, d, "amin")
        wins = (d == least[index]) & (d < self.distance[index])
        # of equals the first, so that nothing depends on the order of writing
        rows = torch.arange(len(index), device=index.device)
        first = torch.full_like(self.distance, len(index), dtype=torch.int64)
        first = first.scatter_reduce(0, index, torch.where(wins, rows, len(index)), "amin")
        chosen = (wins & (first[index] == rows)).nonzero()[:, 0]
        self.delta[index[chosen]] = delta[chosen]
        self.distance = least


@dataclass
class Pairs:
    """P pairs of image and class under way; pixels flattened to D values."""

    index: Tensor
    """(P,) int64, which image."""
    target: Tensor
    """(P,) int64, which class."""
    point: Tensor
    """(P, D), the perturbation where the pair stands."""
    margin: Tensor
    """(P,), target's minus label's logit there."""
    cuts: Cuts
    first: Tensor
    """(P, D), unit gradient at the first point."""
    length: Tensor
    """(P,), its L2 norm: margins are measured in it."""
    price: Tensor = field(default_factory=lambda: torch.empty(0))
    """(P,), distance that a missing unit of margin costs."""
    quiet: Tensor = field(default_factory=lambda: torch.empty(0))
    """(P,) int64, predicted gains in a row that were not worth it."""
    checked: Tensor = field(default_factory=lambda: torch.empty(0))
    """(P,), merit when progress was last looked at."""
    gain: Tensor = field(default_factory=lambda: torch.empty(0))
    """(P,), what the cuts still promise, relative to the distance."""
    why: Tensor = field(default_factory=lambda: torch.empty(0))
    """(P,) int64, a place in REASONS."""

    def __post_init__(self) -> None:
        if len(self.why) != len(self.index):
            self.price = torch.zeros_like(self.margin)
            self.quiet = torch.zeros_like(self.index)
            self.checked = torch.full_like(self.margin, torch.inf)
            self.gain = torch.full_like(self.margin, torch.inf)
            self.why = torch.zeros_like(self.index)

    def rows(self, chosen: Tensor) -> Pairs:
        """Return some pairs, (n,) int64."""
        others = {f.name: getattr(self, f.name)[chosen] for f in fields(self) if f.name != "cuts"}
        return Pairs(cuts=self.cuts.rows(chosen), **others)


def joined(parts: list[Pairs]) -> Pairs:
    """Return all pairs in one."""
    names = [f.name for f in fields(Pairs) if f.name != "cuts"]
    joined = {name: torch.cat([getattr(p, name) for p in parts]) for name in names}
    cuts = Cuts(*(torch.cat([getattr(p.cuts, f.name) for p in parts]) for f in fields(Cuts)))
    return Pairs(cuts=cuts, **joined)
