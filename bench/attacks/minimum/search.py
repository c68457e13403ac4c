"""The bundle iteration: pairs of image and class, each with a few cuts, step by step.

A pair stands at a point and keeps linearisations of its margin (cuts). The next point is the
smallest perturbation that satisfies all of them, from the clean image. If its merit falls by a
share of what the cuts predict, the pair moves there and drops all old cuts (serious step); else
the cut found there joins the others (null step).
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.attacks.base import logit_margin
from bench.attacks.minimum.cuts import Cuts
from bench.attacks.minimum.finish import grow
from bench.attacks.minimum.options import Norm, Options
from bench.attacks.minimum.pairs import (
    EXACT,
    FLAT,
    GOING,
    KKT,
    LOST,
    NONFINITE,
    SAME,
    SLOW,
    STEPS,
    Best,
    Pairs,
    joined,
)  # fmt: skip
from bench.attacks.minimum.project_linf import project_linf
from bench.attacks.minimum.room import IMAGES, Room
from bench.steps.step import GradientStep, difference_cotangent

SERIOUS = 0.1
"""Share of the predicted fall of the merit that makes a step serious."""
PENALTY = 1.5
"""The merit charges a missing margin with so many times what the cuts say it costs."""
LINEAR = 2e-5
"""A margin that is so near to its linearisation, relative to the logits' spread, was linear."""


class Search:
    """Runs pairs of one batch of images in one norm.

    Args:
        step: levelled.
        images: (B, C, H, W) in [0, 1]; labels: (B,) int64.
        aim: (B,), margin to reach beyond the boundary; spread: (B,), of the clean logits.
        norm: "l2" or "linf".
        options: the settings.
        room: where perturbations may lie.
    """

    def __init__(
        self, step: GradientStep, images: Tensor, labels: Tensor, aim: Tensor, spread: Tensor,
        norm: Norm, options: Options, room: Room = IMAGES,
    ) -> None:  # fmt: skip
        self.step, self.images, self.labels = step, images, labels
        self.aim, self.spread, self.norm, self.options = aim, spread, norm, options
        self.room = room
        self.x0 = images.flatten(1)
        self.best = Best(torch.zeros_like(self.x0), torch.full_like(aim, torch.inf))
        self.gradients = torch.zeros_like(labels)
        self.nonfinite = torch.zeros_like(labels, dtype=torch.bool)

    def size(self, delta: Tensor) -> Tensor:
        """Return the norm (P,) of perturbations (P, D)."""
        order = 2 if self.norm == "l2" else torch.inf
        result: Tensor = torch.linalg.vector_norm(delta, order, dim=1)
        return result

    def run(self, pairs: Pairs) -> Pairs:
        """Run pairs until all have stopped; return them in another order, with their reasons."""
        done: list[Pairs] = []
        usable = (pairs.why == GOING).nonzero()[:, 0]
        if len(usable) < len(pairs.why):
            done.append(pairs.rows((pairs.why != GOING).nonzero()[:, 0]))
            pairs = pairs.rows(usable)
        for now in range(self.options.steps):
            if len(pairs.index) == 0:
                break
            self._advance(pairs, now)
            going = (pairs.why == GOING).nonzero()[:, 0]
            stopped = (pairs.why != GOING).nonzero()[:, 0]
            if len(stopped):
                done.append(pairs.rows(stopped))
                pairs = pairs.rows(going)
        if len(pairs.index):
            pairs.why[:] = STEPS
            done.append(pairs)
        ended = joined(done)
        self._grow(ended)
        return ended

    def _grow(self, pairs: Pairs) -> None:
        """Record where pairs stand, grown until adversarial, if that is nearer than the best."""
        rows = (self.size(pairs.point) < self.best.distance[pairs.index]).nonzero()[:, 0]
        if len(rows) == 0:
            return
        index = pairs.index[rows]
        images = self.images[index]
        delta, fooled = grow(
            self.step, images, pairs.point[rows].view_as(images), self.labels[index], self.room
        )
        delta = delta.flatten(1)
        self.best.record(index, delta, self.size(delta), fooled)

    def begin(self, index: Tensor, target: Tensor, start: Tensor) -> Pairs:
        """Return pairs that begin at perturbations (n, D) of images `index` (n,)."""
        x0, labels = self.x0[index], self.labels[index]
        x = self.room.inside(x0 + start)
        images = x.view(-1, *self.images.shape[1:])
        logits, gradient = self.step(images, labels, difference_cotangent, target)
        self.gradients += torch.bincount(index, minlength=len(self.labels))
        margin = (logits.gather(1, target[:, None]) - logits.gather(1, labels[:, None]))[:, 0]
        normal = gradient.flatten(1).neg_()
        length = torch.linalg.vector_norm(normal, dim=1)
        safe = length.clamp_min(torch.finfo(length.dtype).tiny)
        normal /= safe[:, None]
        delta = x - x0
        offset = (self.aim[index] - margin) / safe + (normal * delta).sum(1)
        cuts = Cuts.first(normal, offset, self.options.cuts)
        pairs = Pairs(index, target, delta, margin, cuts, normal, safe)
        self._break(pairs, length, logits)
        return pairs

    def _advance(self, pairs: Pairs, now: int) -> None:
        """Take one step with each pair."""
        delta, size = self._next(pairs, now)
        here = self.size(pairs.point)
        missing = (self.aim[pairs.index] - pairs.margin).clamp_min(0) / pairs.length
        merit = here + PENALTY * pairs.price * missing
        gain = merit - size
        self._stop(pairs, gain, merit, size, now)
        x = self.room.inside(self.x0[pairs.index] + delta)
        labels = self.labels[pairs.index]
        logits, gradient = self.step(
            x.view(-1, *self.images.shape[1:]), labels, difference_cotangent, pairs.target
        )
        self.gradients += torch.bincount(pairs.index, minlength=len(self.labels))
        margin = (logits.gather(1, pairs.target[:, None]) - logits.gather(1, labels[:, None]))[:, 0]
        self.best.record(pairs.index, delta, size, logit_margin(logits, labels) > 0)
        normal = gradient.flatten(1).neg_()
        length = torch.linalg.vector_norm(normal, dim=1)
        self._break(pairs, length, logits)
        normal /= length.clamp_min(torch.finfo(length.dtype).tiny)[:, None]
        self._linear(pairs, normal, margin, now)
        self._judge(pairs, delta, size, margin, normal, length, merit, gain, now)

    def _next(self, pairs: Pairs, now: int) -> tuple[Tensor, Tensor]:
        """Return the points (P, D) that the cuts propose, and their norms (P,)."""
        x0 = self.x0[pairs.index]
        cuts, rounds = pairs.cuts, self.options.rounds
        if self.norm == "l2":
            delta = self.room.nearest(cuts, x0, rounds, now)
            size = self.size(delta)
            price = cuts.multipliers.sum(1) / size.clamp_min(1e-12)
        elif now == 0:
            delta, _ = self.room.plane(
                x0, cuts.normals[:, 0], cuts.offsets[:, 0].clamp_min(0), "linf"
            )
            size = self.size(delta)
            ends = (delta.abs() >= size[:, None]) * cuts.normals[:, 0].abs()
            price = 1 / ends.sum(1).clamp_min(1e-12)
        else:
            radius = self.size(pairs.point)
            low, high = self.room.low - x0, self.room.high - x0
            weight = self.options.pull * 4.0**pairs.quiet * x0.shape[1] * radius
            delta, _ = project_linf(cuts, low, high, pairs.point, radius, weight, rounds)
            size = self.size(delta)
            price = cuts.multipliers.sum(1) / weight
        pairs.price = torch.maximum(pairs.price, price)
        return delta, size

    def _stop(self, pairs: Pairs, gain: Tensor, merit: Tensor, size: Tensor, now: int) -> None:
        """Note which pairs have stopped."""
        options = self.options
        pairs.gain = gain / size.clamp_min(torch.finfo(size.dtype).tiny)
        small = gain < options.exact * size
        pairs.quiet = (pairs.quiet + 1) * small
        pairs.why[pairs.quiet >= 2] = KKT
        if now and now % options.patience == 0:
            slow = pairs.checked - merit < options.slow * merit
            pairs.why[slow & (pairs.why == GOING)] = SLOW
            pairs.checked = merit
        limit = options.lost if now else options.slack
        lost = size > limit * self.best.distance[pairs.index]
        pairs.why[lost] = LOST

    def _break(self, pairs: Pairs, length: Tensor, logits: Tensor) -> None:
        """Stop pairs without a usable gradient."""
        broken = ~(length.isfinite() & logits.isfinite().all(1))
        pairs.why[(length == 0) & (pairs.why == GOING)] = FLAT
        pairs.why[broken] = NONFINITE
        self.nonfinite[pairs.index[broken]] = True

    def _linear(self, pairs: Pairs, normal: Tensor, margin: Tensor, now: int) -> None:
        """Stop pairs whose first step ended where the model is what it was at the clean image."""
        if now:
            return
        same = (normal - pairs.first).abs().amax(1) <= SAME * pairs.first.abs().amax(1)
        tolerance = LINEAR * self.spread[pairs.index] + self.aim[pairs.index]
        on_aim = (margin - self.aim[pairs.index]).abs() <= tolerance
        exact = same & on_aim & (pairs.why == GOING)
        pairs.why[exact] = EXACT
        pairs.gain[exact] = 0

    def _judge(
        self, pairs: Pairs, delta: Tensor, size: Tensor, margin: Tensor, normal: Tensor,
        length: Tensor, merit: Tensor, gain: Tensor, now: int,
    ) -> None:  # fmt: skip
        """Move where the merit fell as predicted, and add the new cut."""
        aim = self.aim[pairs.index]
        new = size + PENALTY * pairs.price * (aim - margin).clamp_min(0) / pairs.length
        serious = (merit - new >= SERIOUS * gain) | (now == 0)
        offset = (aim - margin) / length.clamp_min(torch.finfo(length.dtype).tiny)
        offset = offset + (normal * delta).sum(1)
        total = pairs.cuts.multipliers.sum(1)
        pairs.cuts.drop(serious[:, None] & pairs.cuts.used)
        pairs.cuts.add(normal, offset, now + 1)
        # one cut is left: its multiplier is near the sum of the old ones
        pairs.cuts.multipliers = torch.where(
            serious[:, None], pairs.cuts.used * total[:, None], pairs.cuts.multipliers
        )
        pairs.point = torch.where(serious[:, None], delta, pairs.point)
        pairs.margin = torch.where(serious, margin, pairs.margin)
