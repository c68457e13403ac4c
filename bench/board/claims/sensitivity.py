"""The same comparisons under other choices: quantity, statistic, ids, box, window, epochs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bench.board.claims.cells import Found
from bench.board.claims.estimates import seeds_of, unusable
from bench.board.claims.pairs import Comparison, comparisons
from bench.board.claims.ways import lay
from bench.entries.claims import Contrast
from bench.stats.bootstrap import Floats
from bench.stats.choices import Statistic, chosen_contrast, image_interval
from bench.stats.contrasts import sidak
from bench.stats.intervals import NOTHING, Interval
from bench.stats.recipes import FEWEST_SEEDS
from bench.stats.stepdown import FEWEST_IDS
from bench.stats.verdicts import says

LONGER = 40
"""Epochs of the longer training."""


@dataclass(frozen=True)
class Choice:
    """One way to do it otherwise than the study does; the usual one has no changes.

    Attributes:
        name: what is other.
        metric: the quantity.
        statistic: over images.
        own: ids: every net has its own, not those that all keep.
        epochs: of training; None: the study's.
    """

    name: str
    metric: str = "rfc"
    statistic: Statistic = "mean"
    own: bool = False
    epochs: int | None = None


CHOICES = (
    Choice("as the study does it"),
    Choice("HFE, not RFC", metric="hfe"),
    Choice("f50, not RFC", metric="f50"),
    Choice("Hann window", metric="windowed_rfc"),
    Choice("no box (closed form, linear nets)", metric="free_rfc"),
    Choice("median, not mean", statistic="median"),
    Choice("pooled spectrum", statistic="pooled"),
    Choice("own ids, not common", own=True),
    Choice(f"{LONGER} epochs", epochs=LONGER),
)
Outcome = Literal["same", "open", "turned", "not run", "not planned", "few", "none"]
ASIDE = ("none", "not run", "not planned", "few")
"""Outcomes that say nothing of whether a comparison survives: "few": too few planned seeds for an
interval."""


@dataclass(frozen=True)
class Cell:
    """A comparison under a choice.

    Attributes:
        interval: at the claims' error; without bounds below three seeds.
        images: over images alone, where there are fewer than three seeds.
        seeds, ids: what it is over.
        says: what it says of the contrast's expectation.
        outcome: against the study's own choice; "none": the quantity does not exist; see ASIDE.
    """

    interval: Interval
    images: Interval
    seeds: int
    ids: int
    says: str
    outcome: Outcome


@dataclass(frozen=True)
class Row:
    """A comparison at the end of training under every choice of CHOICES, the study's own first."""

    comparison: Comparison
    cells: tuple[Cell, ...]

    @property
    def survives(self) -> Literal["yes", "no", "open"]:
        """Return whether what it says stays the same under all choices that could be made."""
        first = self.cells[0].says
        others = [c for c in self.cells[1:] if c.outcome not in ASIDE]
        if any(c.outcome == "turned" for c in others):
            return "no"
        if first == "open" or any(c.outcome == "open" for c in others):
            return "open"
        return "yes"


def rows(found: Found, claims: int) -> list[Row]:
    """Return the comparisons of the claims' differences that have run, at the end of training."""
    named = dict.fromkeys(name for claim in found.study.claims for name in claim.contrasts)
    by_name = {c.name: c for c in found.study.contrasts}
    result = []
    for contrast in (by_name[name] for name in named):
        if contrast.kind not in ("difference", "trend") or contrast.growth:
            continue
        if contrast.epoch is not None or contrast.metric != "rfc":
            continue
        for comparison in comparisons(found.study, contrast):
            there = seeds_of(comparison, found.nets)
            wanted = seeds_of(comparison, found.planned)
            if len(there) >= min(FEWEST_SEEDS, len(wanted)) and not unusable(
                comparison, found.nets, there
            ):
                result.append(Row(comparison, tuple(_cells(found, comparison, claims))))
    return result


def _cells(found: Found, comparison: Comparison, claims: int) -> list[Cell]:
    cells: list[Cell] = []
    for choice in CHOICES:
        other = comparison if choice.epochs is None else _longer(found, comparison, choice.epochs)
        if other is None or not seeds_of(other, found.nets):
            absent: Outcome = "not planned" if other is None else "not run"
            cells.append(Cell(NOTHING, NOTHING, 0, 0, "open", absent))
            continue
        cell = _cell(found, other, choice, claims, cells[0] if cells else None)
        if cells and len(seeds_of(other, found.planned)) < FEWEST_SEEDS:
            cell = replace(cell, outcome="few")
        cells.append(cell)
    return cells


def _cell(
    found: Found, comparison: Comparison, choice: Choice, claims: int, usual: Cell | None
) -> Cell:
    laid = lay(comparison, "end", found.nets, choice.metric)
    energy = _energy(found, comparison) if choice.statistic == "pooled" else None
    interval, seeds, ids = chosen_contrast(
        laid.values,
        laid.kept,
        laid.weights,
        statistic=choice.statistic,
        energy=energy,
        own=choice.own,
        error=sidak(claims),
    )
    if ids < FEWEST_IDS:
        interval = Interval(interval.mean, NOTHING.low, NOTHING.high)
    images = NOTHING
    if 0 < seeds < FEWEST_SEEDS:
        images = image_interval(laid.values[:, 0], laid.kept[:, 0], laid.weights, sidak(claims))
    contrast = comparison.contrast
    margin = contrast.within or found.study.smallest
    what = says(contrast.expect, interval, margin)
    if ids == 0:
        return Cell(interval, images, seeds, ids, what, "none")
    outcome: Outcome = "same"
    if usual is not None and what != usual.says:
        # the claimed sign, but surely small, is no opposite of anything
        outcome = "open" if {"open", "small"} & {what, usual.says} else "turned"
    return Cell(interval, images, seeds, ids, what, outcome)


def _energy(found: Found, comparison: Comparison) -> Floats:
    """Return what weighs each perturbation in a pooled spectrum: its power without DC."""
    norm = lay(comparison, "end", found.nets, "l2").values
    result: Floats = norm**2 * (1 - lay(comparison, "end", found.nets, "dc_share").values)
    return result


def _longer(found: Found, comparison: Comparison, epochs: int) -> Comparison | None:
    """Return the comparison of the same nets with other epochs, if the plan has it."""
    contrast = comparison.contrast
    more = {"epochs": epochs}
    other = Contrast.model_copy(
        contrast,
        update={
            "left": {**contrast.left, **more},
            "right": {**contrast.right, **more},
            "levels": tuple({**level, **more} for level in contrast.levels),
            "less": None
            if contrast.less is None
            else tuple({**side, **more} for side in contrast.less),
        },
    )
    same = [c for c in comparisons(found.study, other) if c.where == comparison.where]
    return same[0] if same else None


def survivors(found: Sequence[Row]) -> dict[str, int]:
    """Return how many comparisons say the same under all choices, turn, or are open."""
    return {word: sum(r.survives == word for r in found) for word in ("yes", "open", "no")}
