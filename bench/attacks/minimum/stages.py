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
from bench.attacks.minimum.pairs import EXACT, KKT, REASONS, Pairs
from bench.attacks.minimum.search import Search
from bench.attacks.minimum.walk import Walk
from bench.steps.step import GradientStep

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
        starts: Tensor | None,
    ) -> None:  # fmt: skip
        raw = step.logits(images)
        self.plain, self.images, self.labels, self.starts = step, images, labels, starts
        self.options, self.norm = options, norm
        self.step = LevelStep(step, raw)
        self.aim = goal(raw, labels) * self.step.scale
        unit = spread(raw) * self.step.scale
        self.search = Search(self.step, images, labels, self.aim, unit, norm, options)
        self.walk = Walk(self.step, images, labels, norm, max(options.walk_steps, 1))
        self.clean = (logit_margin(raw, labels) > 0) & raw.isfinite().all(1)
        self.why = torch.zeros_like(labels)
        self.left = torch.full_like(self.aim, torch.inf)
        self.walked = torch.zeros_like(self.clean)
        self.gained = torch.zeros_like(self.clean)

    def found(self) -> Found:
        """Run all stages."""
        search = self.search
        first = candidates(self.step, self.images, self.labels, self.aim, self.norm, self.options)
        search.gradients += first.gradients
        search.nonfinite |= ~first.finite
        usable = first.finite & ~self.clean
        self._stage(self._pairs(first, usable[:, None] & _column(first, 0)))
        near = first.distances < self.options.slack * search.best.distance[:, None]
        near &= (usable & (self.why != EXACT))[:, None] & ~_column(first, 0)
        self._stage(self._pairs(first, near))
        self._again(usable)
        if self.options.walk_steps:
            self._walks(usable)
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
            stays = torch.isin(self.why[rows], self.why.new_tensor([KKT, EXACT]))
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

    def _again(self, usable: Tensor) -> None:
        """Begin again at the best point, with the classes that are next there."""
        todo = usable & (self.why != EXACT) & self.search.best.distance.isfinite()
        for number in range(self.options.second_starts):
            rows = todo.nonzero()[:, 0]
            if len(rows) == 0:
                return
            start = self.search.best.delta[rows]
            x = (self.images[rows] + start.view_as(self.images[rows])).clamp_(0, 1)
            others = self.step.logits(x).scatter(1, self.labels[rows, None], -torch.inf)
            count = min(2, others.shape[1] - 1)
            classes = others.topk(count, 1).indices
            # the class that it is in already, only where its search was not stationary
            wanted = torch.ones_like(classes, dtype=torch.bool)
            wanted[:, 0] = (self.why[rows] != KKT) & (number == 0)
            at, rank = wanted.nonzero(as_tuple=True)
            pairs = self.search.begin(rows[at], classes[at, rank], start[at])
            todo = self._stage(pairs)

    def _walks(self, usable: Tensor) -> None:
        """Polish what is not stationary; fall back on the walk where nothing was found."""
        best = self.search.best
        lost = ~best.distance.isfinite() & ~self.clean
        rows = lost.nonzero()[:, 0]
        if len(rows):
            self._fall_back(rows)
        rough = usable & ~lost & best.distance.isfinite() & (self.left > self.options.rough)
        rows = rough.nonzero()[:, 0]
        if len(rows):
            images = self.images[rows]
            self._improve(rows, (images + best.delta[rows].view_as(images)).clamp_(0, 1))

    def _fall_back(self, rows: Tensor) -> None:
        """Walk from the given starts and from beyond the nearest boundaries."""
        if self.starts is not None:
            given = self.starts[rows]
            ok = logit_margin(self.step.logits(given), self.labels[rows]) > 0
            if bool(ok.any()):
                self._improve(rows[ok], given[ok])
        for points, fooled in self.walk.nearest(rows):
            if bool(fooled.any()):
                self._improve(rows[fooled], points[fooled])

    def _improve(self, rows: Tensor, starts: Tensor) -> None:
        begin = self.search.size((starts - self.images[rows]).flatten(1))
        found, distance = self.walk.improve(rows, starts)
        self.walked[rows] = True
        self.gained[rows] |= self.walk.moved[rows] & (distance < begin * (1 - 1e-3))
        fooled = logit_margin(self.step.logits(found), self.labels[rows]) > 0
        delta = (found - self.images[rows]).flatten(1)
        self.search.best.record(rows, delta, distance, fooled)

    def _finished(self) -> Found:
        """Return the settled images and what is to be said of each."""
        best = self.search.best
        have = best.distance.isfinite() & ~self.clean
        adversarial = self.images.clone()
        rows = have.nonzero()[:, 0]
        if len(rows):
            images, labels = self.images[rows], self.labels[rows]
            delta = best.delta[rows].view_as(images)
            delta = shrink(self.step, images, delta, labels, 0.95 * self.aim[rows])
            x = (images + delta).clamp_(0, 1)
            adversarial[rows] = settle(self.plain, images, x, labels)
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
