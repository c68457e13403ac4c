"""One batch in one norm, stage by stage (`bench.attacks.minimum.minimise` says which)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.attacks.base import logit_margin
from bench.attacks.minimum.candidates import Candidates, candidates
from bench.attacks.minimum.cuts import Cuts
from bench.attacks.minimum.finish import goal, settle, shrink
from bench.attacks.minimum.level import LevelStep, spread
from bench.attacks.minimum.options import Norm, Options
from bench.attacks.minimum.pairs import EXACT, KKT, REASONS, SAME, Pairs
from bench.attacks.minimum.room import IMAGES, Room
from bench.attacks.minimum.search import Search
from bench.attacks.minimum.walk import Walk
from bench.steps.step import GradientStep, difference_cotangent

BEYOND = 2.0
"""A second start is so many times as long as the best perturbation."""
WORTH = 1.3
"""A walk's end is searched from if it is not longer than so many times the best."""
STATUSES = ("converged", "stalled", "nonfinite")
CLEAN = "clean"
"""Reason of an image that the model gives another class than its label as it is."""


@dataclass(frozen=True)
class Found:
    """What was found for a batch."""

    adversarial: Tensor
    """(B, C, H, W) in [0, 1], settled off the boundary; the clean image where nothing was found."""
    status: tuple[str, ...]
    """(B,), of STATUSES: stalled is a search without a usable gradient, or whose end is not
    stationary and that no walk could improve; nonfinite one that met a NaN or infinite value."""
    gradients_per_image: Tensor
    """(B,) int64, gradients that were computed for each image."""
    reason: tuple[str, ...]
    """(B,), why the search ended: `search.REASONS`, "walk", or "clean"."""


class Stages:
    """One batch in one norm, stage by stage; arguments as those of `minimise`."""

    def __init__(
        self, step: GradientStep, images: Tensor, labels: Tensor, norm: Norm, options: Options,
        starts: Tensor | None, room: Room = IMAGES,
    ) -> None:  # fmt: skip
        raw = step.logits(images)
        self.plain, self.images, self.labels, self.starts = step, images, labels, starts
        self.options, self.norm, self.room = options, norm, room
        self.step = LevelStep(step, raw)
        self.aim = goal(raw, labels) * self.step.scale
        unit = spread(raw) * self.step.scale
        self.search = Search(self.step, images, labels, self.aim, unit, norm, options, room)
        self.walk = Walk(self.step, images, labels, norm, max(options.walk_steps, 1))
        self.clean = (logit_margin(raw, labels) > 0) & raw.isfinite().all(1)
        self.why = torch.zeros_like(labels)
        self.left = torch.full_like(self.aim, torch.inf)
        self.linear = torch.zeros_like(self.clean)
        self.walked = torch.zeros_like(self.clean)
        self.gained = torch.zeros_like(self.clean)

    def found(self) -> Found:
        """Run all stages."""
        search = self.search
        first = candidates(
            self.step, self.images, self.labels, self.aim, self.norm, self.options, self.room
        )
        search.gradients += first.gradients
        search.nonfinite |= ~first.finite
        usable = first.finite & ~self.clean
        self._stage(self._pairs(first, usable[:, None] & _column(first, 0)))
        self._find_linear(first)
        near = first.distances < self.options.slack * search.best.distance[:, None]
        near &= (usable & ~self.linear)[:, None] & ~_column(first, 0)
        self._stage(self._pairs(first, near))
        self._again(usable)
        if self.options.walk_steps:
            self._walks(first, usable)
        return self._finished()

    def _pairs(self, first: Candidates, chosen: Tensor) -> Pairs:
        """Return the pairs (image, rank) that are chosen, (B, T) bool."""
        rows, ranks = (chosen & first.distances.isfinite()).nonzero(as_tuple=True)
        normals, lengths = first.normals[rows, ranks], first.lengths[rows, ranks]
        offsets = first.offsets[rows, ranks]
        cuts = Cuts.first(normals, offsets, self.options.cuts)
        margin = self.aim[rows] - offsets * lengths
        point = torch.zeros_like(normals)
        return Pairs(rows, first.classes[rows, ranks], point, margin, cuts, normals, lengths)

    def _stage(self, pairs: Pairs) -> Tensor:
        """Run pairs; note how the best of each image ended; return which images improved (B,)."""
        before = self.search.best.distance.clone()
        if len(pairs.index) == 0:
            return torch.zeros_like(self.clean)
        ended = self.search.run(pairs)
        best = self.search.best.distance
        # the pair that stands where the best of its image is says how the search ended
        here = self.search.size(ended.point) <= (1 + 1e-3) * best[ended.index]
        for code in range(len(REASONS)):
            rows = ended.index[here & (ended.why == code)]
            stays = self._ended(self.why[rows])
            stays &= best[rows] >= before[rows] * (1 - 1e-6)
            self.why[rows[~stays]] = code
        left = torch.where(here, ended.gain, torch.inf)
        self.left = self.left.scatter_reduce(0, ended.index, left, "amin")
        untold = (self.why == 0) & torch.isin(
            torch.arange(len(best), device=best.device), ended.index
        )
        worst = self.why.scatter_reduce(0, ended.index, ended.why, "amax", include_self=False)
        self.why = torch.where(untold, worst, self.why)
        return best < before * (1 - 1e-3)

    def _find_linear(self, first: Candidates) -> None:
        """Note where the model is linear: the gradient is the same at the negative of the image.

        There the first step has found the exact minimum, and all is done.
        """
        rows = (self.why == EXACT).nonzero()[:, 0]
        if len(rows) == 0:
            return
        target, normal = first.classes[rows, 0], first.normals[rows, 0]
        images, labels = 1 - self.images[rows], self.labels[rows]
        _, gradient = self.step(images, labels, difference_cotangent, target)
        self.search.gradients[rows] += 1
        there = -gradient.flatten(1) / first.lengths[rows, 0, None]
        self.linear[rows] = (there - normal).abs().amax(1) <= SAME * normal.abs().amax(1)

    def _ended(self, why: Tensor) -> Tensor:
        """Return (n,) bool: is this reason that of a stationary point?"""
        return torch.isin(why, why.new_tensor([KKT, EXACT]))

    def _again(self, usable: Tensor) -> None:
        """Begin again at the best point, with the classes that are next there, and beyond it."""
        todo = usable & ~self.linear & self.search.best.distance.isfinite()
        for number in range(self.options.second_starts):
            rows = todo.nonzero()[:, 0]
            if len(rows) == 0:
                return
            start = self.search.best.delta[rows]
            others = self._others(self._best_images(rows), self.labels[rows])
            count = min(2, others.shape[1] - 1)
            classes = others.topk(count, 1).indices
            # the class that it is in already, only where its search was not stationary
            wanted = torch.ones_like(classes, dtype=torch.bool)
            wanted[:, 0] = ~self._ended(self.why[rows]) & (number == 0)
            at, rank = wanted.nonzero(as_tuple=True)
            pairs = self.search.begin(rows[at], classes[at, rank], start[at])
            todo = self._stage(pairs) | self._beyond(rows)

    def _beyond(self, rows: Tensor) -> Tensor:
        """Begin again beyond the best points of samples `rows`, where other units are on.

        Returns:
            (B,) bool, which samples improved.
        """
        images = self.images[rows]
        delta = BEYOND * self.search.best.delta[rows].view_as(images)
        x = self.room.inside(images + delta)
        classes = self._others(x, self.labels[rows]).argmax(1)
        return self._stage(self.search.begin(rows, classes, (x - images).flatten(1)))

    def _walks(self, first: Candidates, usable: Tensor) -> None:
        """Walk where the net turns or the search found nothing, and polish what is not stationary.

        Every walk ends in a search of its own: a walk finds a basin, the search its bottom.
        """
        have = self.search.best.distance.isfinite()
        rough = usable & have & (self.left > self.options.rough)
        rows = ((~have & ~self.clean) | rough | self._turned(first, usable & have)).nonzero()[:, 0]
        if len(rows) == 0:
            return
        starts = self._starts(rows)
        fooled = torch.cat([fooled for _, fooled in starts])
        if bool(fooled.any()):
            # all walks at once: a walk of few samples costs as much time
            points = torch.cat([points for points, _ in starts])
            self._improve(rows.repeat(len(starts))[fooled], points[fooled])
        have = self.search.best.distance.isfinite()
        rows = (usable & have & (self.left > self.options.rough)).nonzero()[:, 0]
        if len(rows):
            self._improve(rows, self._best_images(rows), polish=True)

    def _turned(self, first: Candidates, chosen: Tensor) -> Tensor:
        """Return (B,) bool: is the gradient at the best point another than at the clean image?

        So it does, too, where the best is in a class that was not looked at.
        """
        turned = torch.zeros_like(chosen)
        rows = (chosen & ~self.linear).nonzero()[:, 0]
        if len(rows) == 0:
            return turned
        images, labels = self._best_images(rows), self.labels[rows]
        target = self._others(images, labels).argmax(1)
        _, gradient = self.step(images, labels, difference_cotangent, target)
        self.search.gradients[rows] += 1
        same = first.classes[rows] == target[:, None]
        rank = same.int().argmax(1)
        clean, here = (
            first.lengths[rows, rank],
            torch.linalg.vector_norm(gradient.flatten(1), dim=1),
        )
        change = first.normals[rows, rank] * clean[:, None] + gradient.flatten(1)
        least = self.options.turn * torch.minimum(clean, here)
        turned[rows] = ~same.any(1) | (torch.linalg.vector_norm(change, dim=1) > least)
        return turned

    def _starts(self, rows: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return start images for some samples, and which are adversarial: given, and nearest."""
        starts = self.walk.nearest(rows)
        if self.starts is None:
            return starts
        given = self.starts[rows]
        return [(given, logit_margin(self.step.logits(given), self.labels[rows]) > 0), *starts]

    def _improve(self, rows: Tensor, starts: Tensor, polish: bool = False) -> None:
        """Walk from adversarial images `starts`, and search from where the walks end.

        Args:
            rows: (n,) int64, samples; one may have several starts.
            starts: (n, C, H, W).
        """
        best = self.search.best
        begin = self.search.size((starts - self.images[rows]).flatten(1))
        found, distance = self.walk.improve(rows, starts, polish)
        self.walked[rows] = True
        self.gained[rows[self.walk.moved[rows] & (distance < begin * (1 - 1e-3))]] = True
        others = self._others(found, self.labels[rows])
        fooled = logit_margin(self.step.logits(found), self.labels[rows]) > 0
        delta = (found - self.images[rows]).flatten(1)
        best.record(rows, delta, distance, fooled)
        near = fooled & self.walk.moved[rows] & (distance < WORTH * best.distance[rows])
        near &= ~(self.search.nonfinite | self.walk.nonfinite)[rows]
        if bool(near.any()):
            self._stage(self.search.begin(rows[near], others[near].argmax(1), delta[near]))

    def _others(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the logits (n, classes) of images, -inf at their label."""
        return self.step.logits(images).scatter(1, labels[:, None], -torch.inf)

    def _best_images(self, rows: Tensor) -> Tensor:
        """Return the best adversarial images (n, C, H, W) so far of some samples."""
        images = self.images[rows]
        return self.room.inside(images + self.search.best.delta[rows].view_as(images))

    def _finished(self) -> Found:
        """Return the settled images and what is to be said of each."""
        best = self.search.best
        have = best.distance.isfinite() & ~self.clean
        adversarial = self.images.clone()
        rows = have.nonzero()[:, 0]
        if len(rows):
            images, labels = self.images[rows], self.labels[rows]
            delta = best.delta[rows].view_as(images)
            delta = shrink(self.step, images, delta, labels, 0.95 * self.aim[rows], self.room)
            x = self.room.inside(images + delta)
            adversarial[rows] = settle(self.plain, images, x, labels, self.room)
        nonfinite = self.search.nonfinite | self.walk.nonfinite
        stationary = (self.left <= self.options.stationary) | self.clean
        stalled = ~stationary & ~(self.walked & self.gained)
        stalled |= ~have & ~self.clean
        codes = torch.where(nonfinite, 2, torch.where(stalled, 1, 0)).tolist()
        names = zip(
            self.clean.tolist(), (self.walked & self.gained).tolist(), self.why.tolist(),
            strict=True,
        )  # fmt: skip
        return Found(
            adversarial,
            tuple(STATUSES[code] for code in codes),
            self.search.gradients + self.walk.gradients,
            tuple(CLEAN if c else "walk" if w else REASONS[k] for c, w, k in names),
        )


def _column(first: Candidates, rank: int) -> Tensor:
    """Return (B, T) bool, true in one column."""
    chosen = torch.zeros_like(first.distances, dtype=torch.bool)
    chosen[:, rank] = True
    return chosen
