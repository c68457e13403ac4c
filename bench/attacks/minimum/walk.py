"""The Brendel-Bethge walk as polish and fallback of the search."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from bench.attacks.brendel_bethge.attack import L2Walk, LinfWalk
from bench.attacks.brendel_bethge.nearest import nearest_starts
from bench.attacks.brendel_bethge.settings import BrendelBethge
from bench.attacks.minimum.options import Norm
from bench.steps.step import GradientStep

NEAREST = 3
"""Boundaries that are nearest to first order, where a walk begins if the search found nothing."""


FAR, NEAR = 50, 3
"""Steps after which the trust region halves: from afar as in a walk of 1000 steps, of which this is
the beginning; from a good point soon, for the bottom of its basin is wanted."""

Seen = Callable[[Tensor, Tensor, Tensor], None]


def _nothing(index: Tensor, logits: Tensor, gradient: Tensor) -> None:
    """See a step, and forget it."""


class Walk:
    """Walks for one batch of images, and what was met on the way.

    Args:
        step: levelled.
        images: (B, C, H, W); labels: (B,) int64.
        norm: "l2" or "linf".
        steps: largest number of steps of a walk.

    Attributes:
        gradients: (B,) int64, how many were taken; nonfinite: (B,) bool, one was NaN or infinite;
            moved: (B,) bool, a gradient that was finite and not zero was met.
    """

    def __init__(
        self,
        step: GradientStep,
        images: Tensor,
        labels: Tensor,
        norm: Norm,
        steps: int,
    ) -> None:
        self.explorer, self.polisher = (
            (_L2 if norm == "l2" else _Linf)(_spec(norm, steps, max(1, steps // interval)))
            for interval in (FAR, NEAR)
        )
        self.step, self.images, self.labels = step, images, labels
        self.gradients = torch.zeros_like(labels)
        self.nonfinite = torch.zeros_like(labels, dtype=torch.bool)
        self.moved = torch.zeros_like(labels, dtype=torch.bool)

    def improve(self, rows: Tensor, starts: Tensor, polish: bool) -> tuple[Tensor, Tensor]:
        """Walk from adversarial images `starts` (n, C, H, W) of images `rows` (n,), repeatable.

        `polish` says that they are good already.

        Returns:
            The nearest adversarial images (n, C, H, W) and their distances (n,).
        """
        images = self.images[rows]
        attack = self.polisher if polish else self.explorer
        attack.seen = self._seen(rows)
        found = attack.walk(self.step, images, self.labels[rows], starts)
        return found, attack.distance((found - images).flatten(1))

    def nearest(self, rows: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return start images beyond the nearest boundaries, and which are adversarial."""
        images, labels = self.images[rows], self.labels[rows]
        return nearest_starts(self.step, images, labels, NEAREST, self.explorer.solve)

    def _seen(self, rows: Tensor) -> Seen:
        def seen(index: Tensor, logits: Tensor, gradient: Tensor) -> None:
            at = rows[index]
            size = gradient.flatten(1).abs().amax(1)
            finite = size.isfinite() & logits.isfinite().all(1)
            self.gradients += torch.bincount(at, minlength=len(self.labels))
            self.nonfinite[at[~finite]] = True
            self.moved[at[finite & (size > 0)]] = True

        return seen


def _spec(norm: Norm, steps: int, decays: int) -> BrendelBethge:
    return BrendelBethge(
        norm=norm,
        steps=steps,
        learning_rate=1e-3,
        learning_rate_decays=decays,
        version=1,
    )


class _L2(L2Walk):
    """The walk in L2, watched."""

    seen: Seen = staticmethod(_nothing)

    def watch(self, index: Tensor, logits: Tensor, gradient: Tensor) -> None:
        self.seen(index, logits, gradient)


class _Linf(LinfWalk):
    """The walk in Linf, watched."""

    seen: Seen = staticmethod(_nothing)

    def watch(self, index: Tensor, logits: Tensor, gradient: Tensor) -> None:
        self.seen(index, logits, gradient)
