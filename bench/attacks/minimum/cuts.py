"""The cuts of a batch of pairs: half spaces that the perturbation has to lie in."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass
class Cuts:
    """Half spaces normal . delta >= offset of P pairs, M of them each; normals have unit length.

    Everything is written in delta = z - x0, because float32 would cancel in z.
    """

    normals: Tensor
    """(P, M, D) float."""
    offsets: Tensor
    """(P, M) float."""
    used: Tensor
    """(P, M) bool; the rest of the places is empty (normals and offsets are 0)."""
    multipliers: Tensor
    """(P, M) float >= 0, of the last solution."""
    age: Tensor
    """(P, M) int64, when a cut was made."""

    @staticmethod
    def first(normals: Tensor, offsets: Tensor, places: int) -> Cuts:
        """Return one cut for each pair: normals (P, D) of unit length and offsets (P,)."""
        pairs = len(offsets)
        cuts = Cuts(
            normals.new_zeros(pairs, places, normals.shape[1]),
            offsets.new_zeros(pairs, places),
            torch.zeros(pairs, places, dtype=torch.bool, device=offsets.device),
            offsets.new_zeros(pairs, places),
            torch.zeros(pairs, places, dtype=torch.int64, device=offsets.device),
        )
        cuts.normals[:, 0], cuts.offsets[:, 0], cuts.used[:, 0] = normals, offsets, True
        return cuts

    def rows(self, chosen: Tensor) -> Cuts:
        """Return the cuts of some pairs, (n,) int64."""
        return Cuts(*(getattr(self, field.name)[chosen] for field in fields(self)))

    def values(self, delta: Tensor) -> Tensor:
        """Return normal . delta - offset (P, M): negative where a cut is violated."""
        return torch.bmm(self.normals, delta[:, :, None])[:, :, 0] - self.offsets

    def drop(self, which: Tensor) -> None:
        """Empty places (P, M) bool."""
        self.used &= ~which
        self.offsets.masked_fill_(which, 0)
        self.multipliers.masked_fill_(which, 0)
        # a normal that is left behind does no harm: its multiplier stays 0

    def add(self, normals: Tensor, offsets: Tensor, now: int) -> None:
        """Put one cut more into each pair: in an empty place, else where it matters least.

        That is the smallest multiplier, and the oldest cut among those.
        """
        rank = torch.where(self.used, 1.0 + self.multipliers.double(), 0.0)
        rank = rank + 1e-12 * self.age
        place = rank.argmin(1)
        rows = torch.arange(len(place), device=place.device)
        self.normals[rows, place] = normals
        self.offsets[rows, place] = offsets
        self.used[rows, place] = True
        self.multipliers[rows, place] = 0
        self.age[rows, place] = now
