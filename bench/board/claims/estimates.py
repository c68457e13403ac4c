"""Every interval that a claim is read in: all its contrasts, comparisons and ways."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from bench.board.claims.cells import Found, Net
from bench.board.claims.pairs import Comparison, comparisons
from bench.board.claims.ways import WAYS, Laid, lay
from bench.entries.claims import Contrast
from bench.stats.choices import image_interval
from bench.stats.contrasts import Contrast as Intervals
from bench.stats.contrasts import contrast as interval_of
from bench.stats.contrasts import sidak
from bench.stats.intervals import NOTHING, Interval
from bench.stats.recipes import FEWEST_SEEDS
from bench.stats.stepdown import FEWEST_IDS
from bench.stats.verdicts import Reading

DIVERGED = "diverged"
"""How the reason of a comparison begins whose nets diverged."""
UNLEARNED = "near chance"
"""How it begins where nets have not found the signal."""


@dataclass(frozen=True)
class Estimate:
    """One comparison in one way.

    Attributes:
        contrast: what it is of.
        where: the shared factors' values, in words.
        sides: names of the sides, with their weights.
        way: in words.
        detail: at which loss, accuracy or epochs.
        own: the interval that the verdict rests on; `together`: all of the claim's hold together.
        images: over images alone, where there are too few seeds for one.
        seeds, ids: what it is over.
        seed_sd: SD over seeds of the difference; NaN with one.
        measured: False: what it needs has not been run; `why` says what.
        begun: how many seeds have run on all sides, where that is not enough to be measured.
        comparable: False: the nets can't be compared this way; `why` says why.
        groups: groups of the plan whose cells are missing.
        accuracies: mean test accuracy of each side at the end of training, percent; of one that
            has not run, or whose nets are none of a study's, NaN or nothing.
    """

    contrast: Contrast
    where: tuple[str, ...]
    sides: tuple[tuple[float, str], ...]
    way: str
    detail: str = ""
    own: Interval = NOTHING
    together: Interval = NOTHING
    images: Interval = NOTHING
    seeds: int = 0
    ids: int = 0
    seed_sd: float = float("nan")
    measured: bool = True
    begun: int = 0
    comparable: bool = True
    why: str = ""
    groups: tuple[str, ...] = ()
    accuracies: tuple[float, ...] = ()

    @property
    def label(self) -> str:
        """The shared values in one text."""
        return ", ".join(self.where) or "all"

    def reading(self, smallest: float) -> Reading:
        """Return what the verdict's rule takes."""
        within = self.contrast.within
        return Reading(
            self.contrast.expect,
            smallest if within is None else within,
            self.own,
            self.together,
            self.measured,
            self.comparable,
            self.way,
        )


def ways(contrast: Contrast) -> tuple[str, ...]:
    """Return the ways in which a contrast is read."""
    if contrast.epoch is not None:
        return (f"epoch {contrast.epoch}",)
    if contrast.growth:
        return ("growth",)
    return contrast.ways


def planned(found: Found, contrast: Contrast) -> list[tuple[Comparison, str]]:
    """Return all that a contrast will be read in, measured or not."""
    return [(c, w) for c in comparisons(found.study, contrast) for w in ways(contrast)]


def absent(contrast: Contrast) -> Estimate:
    """Return what is known of a contrast whose cells no group of the plan has."""
    return Estimate(contrast, (), (), "", measured=False, why="not run: the plan has no such cells")


def estimate(found: Found, comparison: Comparison, way: str, claims: int, family: int) -> Estimate:
    """Measure one comparison in one way.

    Args:
        found: the study.
        comparison: of its plan.
        way: see `ways`.
        claims: how many claims are read together.
        family: how many intervals hold together: those of the claim, times the claims.
    """
    contrast = comparison.contrast
    base = Estimate(
        contrast,
        comparison.words,
        tuple((side.weight, side.label) for side in comparison.sides),
        WAYS.get(way, f"at {way}"),
    )
    there = seeds_of(comparison, found.nets)
    wanted = seeds_of(comparison, found.planned)
    done = len(there) >= min(FEWEST_SEEDS, len(wanted))
    if not done:
        groups = _groups(found, comparison)
        why = f"{len(there)} of {len(wanted)} planned seeds" + " on all sides" * (not there)
        base = replace(base, measured=False, begun=len(there), why=why, groups=groups)
    if not there:
        return base
    # an untrained net is what it is, whatever its training comes to
    if contrast.epoch != 0:
        base = replace(base, accuracies=accuracies_of(comparison, found.nets, there))
        if why := unusable(comparison, found.nets, there):
            return replace(base, comparable=False, measured=True, begun=0, groups=(), why=why)
    laid = lay(comparison, way, found.nets, contrast.metric, contrast.against)
    if not done:
        return _so_far(base, laid, claims)
    if laid.why is not None:
        return replace(base, comparable=False, why=laid.why, detail=laid.detail)
    return _measured(base, laid, claims, family, len(wanted))


def _so_far(base: Estimate, laid: Laid, claims: int) -> Estimate:
    """Return what one or two seeds of more say: a mean, and its error over images alone."""
    found = interval_of(laid.values, laid.kept, laid.weights, claims)
    if laid.why is not None or found.ids < FEWEST_IDS:
        return base
    only = Interval(found.interval.mean, np.nan, np.nan)
    return replace(
        base,
        detail=laid.detail,
        own=only,
        together=only,
        images=image_interval(laid.values[:, 0], laid.kept[:, 0], laid.weights, sidak(claims)),
        seeds=found.seeds,
        ids=found.ids,
        seed_sd=_seed_sd(laid),
    )


def _measured(base: Estimate, laid: Laid, claims: int, family: int, wanted: int) -> Estimate:
    own = interval_of(laid.values, laid.kept, laid.weights, claims)
    together = interval_of(laid.values, laid.kept, laid.weights, family)
    why = ""
    if own.ids < FEWEST_IDS:
        why = f"{own.ids} images that all keep, {FEWEST_IDS} needed"
        own = Intervals(Interval(own.interval.mean, np.nan, np.nan), own.seeds, own.ids)
        together = own
    elif own.seeds < FEWEST_SEEDS:
        why = f"{counted(own.seeds)}, {FEWEST_SEEDS} needed for an interval"
    elif own.seeds < wanted:
        why = f"{own.seeds} of {wanted} planned seeds"
    return replace(
        base,
        detail=laid.detail,
        own=own.interval,
        together=together.interval,
        seeds=own.seeds,
        ids=own.ids,
        seed_sd=_seed_sd(laid),
        why=why,
    )


def _seed_sd(laid: Laid) -> float:
    """Return the SD over seeds of the difference, on the ids that all keep."""
    mask = laid.kept & np.isfinite(laid.values)
    seeds = mask.any(axis=2).all(axis=0)
    ids = mask[:, seeds].all(axis=(0, 1))
    if seeds.sum() < 2 or not ids.any():
        return float("nan")
    each = np.einsum("m,msn->s", laid.weights, laid.values[:, seeds][:, :, ids]) / ids.sum()
    return float(each.std(ddof=1))


def seeds_of(comparison: Comparison, there: Mapping[str, object]) -> list[int]:
    """Return the seeds of which all sides have a cell that is there."""
    return sorted(
        set.intersection(
            *({s for s, n in side.cells.items() if n in there} for side in comparison.sides)
        )
    )


def diverged_of(comparison: Comparison, nets: Mapping[str, Net], seeds: list[int]) -> str:
    """Return which nets of a comparison diverged, in words; empty without any."""
    found = [
        f"{side.label} seed {s}"
        for side in comparison.sides
        for s in seeds
        if nets[side.cells[s]].diverged is not None
    ]
    return ", ".join(found)


def unlearned_of(comparison: Comparison, nets: Mapping[str, Net], seeds: list[int]) -> str:
    """Return which nets of a comparison are near chance, in words; empty without any."""
    found = [
        f"{side.label} seed {s} ({nets[side.cells[s]].accuracy:.0f} %)"
        for side in comparison.sides
        for s in seeds
        if not nets[side.cells[s]].learned
    ]
    return ", ".join(found)


def unusable(comparison: Comparison, nets: Mapping[str, Net], seeds: list[int]) -> str:
    """Return why trained nets make no comparison: some diverged or are near chance."""
    if gone := diverged_of(comparison, nets, seeds):
        return f"{DIVERGED}: {gone}"
    lost = unlearned_of(comparison, nets, seeds)
    return f"{UNLEARNED}: {lost}" if lost else ""


def accuracies_of(
    comparison: Comparison, nets: Mapping[str, Net], seeds: list[int]
) -> tuple[float, ...]:
    """Return each side's mean test accuracy over seeds, percent."""
    each = ([nets[side.cells[s]].accuracy for s in seeds] for side in comparison.sides)
    return tuple(float(np.mean(found)) for found in each)


def counted(seeds: int) -> str:
    """Return "1 seed", "2 seeds"."""
    return f"{seeds} seed" + "s" * (seeds != 1)


def _groups(found: Found, comparison: Comparison) -> tuple[str, ...]:
    names = {n for side in comparison.sides for n in side.cells.values() if n not in found.nets}
    return tuple(sorted({found.planned[n].group for n in names}))
