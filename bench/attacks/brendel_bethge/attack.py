"""The Brendel-Bethge attack: along the decision boundary to the nearest adversarial image.

Source: Brendel et al. 2019, https://arxiv.org/abs/1907.01003. Trust region, momentum, overshoot,
learning-rate schedule, starting binary search and the choice of the best image are those of foolbox
3.3.4. What differs: the trust-region problem of each step is solved exactly and for the whole batch
at once, and samples that have converged leave the batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import final

import torch
from torch import Tensor

from bench.attacks.base import logit_margin
from bench.attacks.brendel_bethge.nearest import nearest_starts
from bench.attacks.brendel_bethge.settings import BrendelBethge
from bench.attacks.brendel_bethge.trust_region import Problem, column
from bench.attacks.brendel_bethge.trust_region_l2 import solve_l2
from bench.attacks.brendel_bethge.trust_region_linf import solve_linf
from bench.steps.step import GradientStep, margin_cotangent

STATIONARY = 1e-4
"""Relative gain in distance below which a step is not worth taking."""
BEYOND = 3e-6
"""Smallest margin to aim at, in units of the largest absolute logit (settling asks for 1e-5)."""
PATIENCE = 20
"""Steps in a row without such a gain after which a sample has converged; momentum 0.8 forgets
99 % of a gradient in this time."""


@dataclass
class _Walk:
    """Samples that are still under attack, pixels flattened to D values."""

    index: Tensor
    """(n,) int64, where the samples are in the batch."""
    x0: Tensor
    """(n, D), clean images."""
    x: Tensor
    """(n, D), where they are now."""
    labels: Tensor
    """(n,) int64."""
    best: Tensor
    """(n,), smallest adversarial distance so far; -inf once converged."""
    normal: Tensor
    """(n, D), moving average of the boundary's normal."""
    quiet: Tensor
    """(n,) int64, steps in a row without a gain in sight."""

    def keep(self, rows: Tensor) -> None:
        """Drop all samples but these rows (n,) int64."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name)[rows])


class BoundaryWalk(ABC):
    """The walk; a subclass knows its norm."""

    def __init__(self, settings: BrendelBethge) -> None:
        self.settings = settings

    @final
    def run(self, step: GradientStep, images: Tensor, labels: Tensor, starts: Tensor) -> Tensor:
        """Return the nearest images that were found; arguments as in `AttackSettings.run`."""
        best = self.walk(step, images, labels, starts)
        count = self.settings.nearest_starts
        others = nearest_starts(step, images, labels, count, self.solve) if count else []
        for points, fooled in others:
            rows = fooled.nonzero()[:, 0]
            if len(rows) == 0:
                continue
            found = self.walk(step, images[rows], labels[rows], points[rows])
            old, new = (self.distance((x - images[rows]).flatten(1)) for x in (best[rows], found))
            nearer = (new < old).nonzero()[:, 0]
            best[rows[nearer]] = found[nearer]
        return best

    def walk(self, step: GradientStep, images: Tensor, labels: Tensor, starts: Tensor) -> Tensor:
        """Walk from one start point for each sample; return the nearest images (B, C, H, W)."""
        best = starts.flatten(1).clone()
        walk = self._begin(step, images, labels, best)
        settings, shape = self.settings, images.shape[1:]
        for number, radius in enumerate(_radii(settings, walk.x.shape[1])):
            logits, gradient = step(walk.x.view(-1, *shape), walk.labels, margin_cotangent)
            self.watch(walk.index, logits, gradient)
            behind = logit_margin(logits, walk.labels)
            distance = self.distance(walk.x - walk.x0)
            self._record(walk, best, distance, behind > 0)
            gradient = gradient.flatten(1)
            if number == 0:
                walk.normal = gradient
            else:
                walk.normal.mul_(settings.momentum).add_(gradient, alpha=1 - settings.momentum)
            optimum = self._move(walk, behind, logits.abs().amax(1), radius)
            if not self._leave(walk, distance, optimum):
                break
        return best.view(-1, *shape)

    def watch(self, index: Tensor, logits: Tensor, gradient: Tensor) -> None:  # noqa: B027
        """See what a step gives to samples `index` (n,) of the batch; changes nothing."""

    def _begin(self, step: GradientStep, images: Tensor, labels: Tensor, starts: Tensor) -> _Walk:
        """Search the boundary between image and start by bisection, and stand there."""
        x0 = images.flatten(1)
        low, high = torch.zeros_like(x0[:, 0]), torch.ones_like(x0[:, 0])
        for _ in range(self.settings.binary_search_steps):
            middle = (low + high) / 2
            between = self.between(x0, starts, middle).view_as(images)
            fooled = step.logits(between).argmax(1) != labels
            low, high = torch.where(fooled, low, middle), torch.where(fooled, middle, high)
        x = self.between(x0, starts, high)
        index = torch.arange(len(x0), device=x0.device)
        best = self.distance(starts - x0)
        return _Walk(index, x0, x, labels, best, torch.zeros_like(x), torch.zeros_like(labels))

    def _record(self, walk: _Walk, best: Tensor, distance: Tensor, fooled: Tensor) -> None:
        """Keep the points that are adversarial and nearer than any before."""
        better = (fooled & (distance < walk.best)).nonzero()[:, 0]
        if len(better):
            best[walk.index[better]] = walk.x[better]
            walk.best[better] = distance[better]

    def _move(self, walk: _Walk, behind: Tensor, scale: Tensor, radius: float) -> Tensor:
        """Take a step; return the distance (n,) of the nearest point on the boundary's plane.

        The plane lies behind the boundary by the overshoot, and by a little more than float32
        resolves: logits that tie would be neither adversarial nor a reason to move.
        """
        beyond = torch.maximum((self.settings.overshoot - 1) * behind.abs(), BEYOND * scale)
        goal = behind - beyond
        length = torch.linalg.vector_norm(walk.normal, dim=1)
        length = length.clamp_min(torch.finfo(length.dtype).tiny)
        walk.x, optimum = self.solve(
            Problem(
                walk.x0,
                walk.x,
                walk.normal / column(length),
                goal / length,
                torch.full_like(goal, radius),
            )
        )
        return optimum

    def _leave(self, walk: _Walk, distance: Tensor, optimum: Tensor) -> bool:
        """Drop the samples that have converged; return False if none is left.

        A sample is stationary where it stands at its plane's nearest point, and that is no better
        than the best. Once converged it keeps its best image, whenever the copy that a smaller
        batch costs is made, so that it does not depend on the other samples.
        """
        here = distance <= (1 + STATIONARY) * optimum
        still = here & (optimum >= (1 - STATIONARY) * walk.best) | (walk.quiet >= PATIENCE)
        walk.quiet = (walk.quiet + 1) * still
        converged = walk.quiet >= PATIENCE
        walk.best = torch.where(converged, -torch.inf, walk.best)
        going = (~converged).nonzero()[:, 0]
        if len(going) <= 0.9 * len(converged):
            walk.keep(going)
        return len(going) > 0

    @staticmethod
    @abstractmethod
    def distance(delta: Tensor) -> Tensor:
        """Return the norm (B,) of (B, D) perturbations."""

    @staticmethod
    @abstractmethod
    def between(x0: Tensor, x1: Tensor, share: Tensor) -> Tensor:
        """Return points (B, D) on the way from x0 to x1, share (B,) in [0, 1] of the way."""

    @staticmethod
    @abstractmethod
    def solve(problem: Problem) -> tuple[Tensor, Tensor]:
        """Return the next points (B, D), and their distance (B,) if no trust region bound them."""


class L2Walk(BoundaryWalk):
    """The attack for the L2 distance."""

    solve = staticmethod(solve_l2)

    @staticmethod
    def distance(delta: Tensor) -> Tensor:
        norm: Tensor = torch.linalg.vector_norm(delta, dim=1)
        return norm

    @staticmethod
    def between(x0: Tensor, x1: Tensor, share: Tensor) -> Tensor:
        share = column(share)
        return share * x1 + (1 - share) * x0


class LinfWalk(BoundaryWalk):
    """The attack for the Linf distance."""

    solve = staticmethod(solve_linf)

    @staticmethod
    def distance(delta: Tensor) -> Tensor:
        return delta.abs().amax(1)

    @staticmethod
    def between(x0: Tensor, x1: Tensor, share: Tensor) -> Tensor:
        share = column(share)
        return x0 + torch.clamp(x1 - x0, -share, share)


WALKS: dict[str, type[BoundaryWalk]] = {"l2": L2Walk, "linf": LinfWalk}
"""The walk of each norm."""


def _radii(settings: BrendelBethge, dims: int) -> list[float]:
    """Return the radius of the trust region for each step, as foolbox's schedule has it."""
    rate = settings.learning_rate
    interval = max(1, settings.steps // settings.learning_rate_decays)
    radii = []
    for number in range(1, settings.steps + 1):
        if (number + 1) % interval == 0:
            rate *= settings.learning_rate_decay
        radii.append(rate * settings.nominal_batch * dims)
    return radii
