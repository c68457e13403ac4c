"""With how many seeds open intervals would tell, and which way, if mean and spread stayed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bench.board.claims.estimates import Estimate
from bench.stats.contrasts import sidak
from bench.stats.intervals import NOTHING, Interval
from bench.stats.recipes import seed_quantiles
from bench.stats.verdicts import says, state

MOST_SEEDS = 100
"""Beyond which nobody would train."""


def with_seeds(found: Estimate, claims: int, seeds: int) -> Interval:
    """Return the interval that so many seeds would give, if mean and spread stayed.

    Nothing where it has no interval now.
    """
    if np.isnan(found.own.low) or np.isnan(found.seed_sd):
        return NOTHING
    half, error = found.own.high - found.own.mean, sidak(claims)
    t_now, t_then = (seed_quantiles(np.array([s]), error)[0] for s in (found.seeds, seeds))
    image = max(0.0, half**2 - t_now**2 * found.seed_sd**2 / found.seeds)
    half = math.sqrt(image + t_then**2 * found.seed_sd**2 / seeds)
    return Interval(found.own.mean, found.own.mean - half, found.own.mean + half)


def seeds_needed(found: Estimate, claims: int, smallest: float) -> int | None:
    """Return with how many seeds an open interval would tell, if mean and spread stayed.

    None: it has no interval, or more than MOST_SEEDS would be needed.
    """
    reading = found.reading(smallest)
    for seeds in range(found.seeds + 1, MOST_SEEDS + 1):
        if says(reading.expect, with_seeds(found, claims, seeds), reading.smallest) != "open":
            return seeds
    return None


def outlook(opened: Sequence[Estimate], claims: int, smallest: float) -> str:
    """Return "a rough guess: with 5 seeds 2 for it, 1 against it".

    The guess takes the present mean and spread for the true ones, which a few seeds can't know.

    Args:
        opened: estimates with intervals that tell nothing, one or more.
        claims: how many claims are read together.
        smallest: smallest effect of interest.
    """
    needed = [n for e in opened if (n := seeds_needed(e, claims, smallest)) is not None]
    if not needed:
        return f"a rough guess: still with {MOST_SEEDS} seeds"
    words = [_way(e, claims, smallest, max(needed)) for e in opened]
    ways = [f"{words.count(word)} {word}" for word in WAYS if word in words]
    return f"a rough guess: with {max(needed)} seeds {', '.join(ways)}"


WAYS = (
    "for it",
    "for it as within the margin",
    "on its side but below the smallest effect",
    "against it",
    "against it as below the smallest effect",
    f"open with {MOST_SEEDS} seeds still",
)
"""What an interval with more seeds would say of the claim."""


def _way(found: Estimate, claims: int, smallest: float, seeds: int) -> str:
    reading = found.reading(smallest)
    then = with_seeds(found, claims, seeds)
    answer = says(reading.expect, then, reading.smallest)
    small = state(then, reading.smallest) == "none"
    if answer == "open":
        return WAYS[5]
    if answer == "small":
        return WAYS[2]
    return WAYS[(0 if answer == "agree" else 3) + small]
