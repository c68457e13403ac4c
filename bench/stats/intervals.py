"""Statistics of the board: arrays in, numbers out.

Every model averages its own kept ids of a resample; two models are compared on the ids that both
keep (see :mod:`bench.stats.bootstrap`). Shapes: n sample ids, in the protocol's order.

Source: Wilson 1927 (proportions); Efron and Tibshirani 1993 (percentile bootstrap).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bench.stats.bootstrap import (
    LEVEL,
    Floats,
    Halved,
    percentile_interval,
    resample_counts,
    resampled_means,
)

Z95 = 1.959963984540054
"""Standard normal quantile at .975."""


FEW = 50
"""Samples below which a bootstrapped interval gets a warning: its 95 % are fewer than 94 (normal
values: .891 with 8, .936 with 30, .942 with 50; tests/benchmarks/rank_coverage.py)."""


class Interval(NamedTuple):
    """An estimate with its 95 % interval; NaN where it does not exist."""

    mean: float
    low: float
    high: float


NOTHING = Interval(np.nan, np.nan, np.nan)


def is_few(n: int) -> bool:
    """Whether a number over n samples needs a warning: no interval, or one that is too narrow."""
    return n < FEW


def mean_interval(values: npt.ArrayLike, kept: npt.ArrayLike, seed: int) -> Interval:
    """Return the mean of a per-sample quantity over the kept samples, with its interval.

    Args:
        values: (n,) one value a sample id, in the protocol's order.
        kept: (n,) bool; a sample whose value is NaN is left out as well.
        seed: seed of the resamples (the protocol's).

    Returns:
        NaN throughout if no sample is kept; one sample has no interval.
    """
    array = np.asarray(values, dtype=np.float64)
    mask = np.asarray(kept, dtype=bool) & ~np.isnan(array)
    if mask.sum() < 2:
        return Interval(float(array[mask][0]), np.nan, np.nan) if mask.any() else NOTHING
    mean, resampled = resampled_means(array, mask, resample_counts(len(array), seed))
    return Interval(float(mean), *map(float, percentile_interval(resampled)))


def common_means(
    values: npt.ArrayLike, kept: npt.ArrayLike, seed: int
) -> tuple[list[Interval], int]:
    """Return the means of several models over the ids that all of them keep.

    A budget attack keeps the ids with small margins, other ids for each model: means over each
    model's own ids would compare the ids.

    Args:
        values: (M, n) one value a model and sample id.
        kept: (M, n) bool; an id where any value is NaN is left out as well.
        seed: seed of the resamples.

    Returns:
        One interval a model, and the number of common ids.
    """
    array = np.asarray(values, dtype=np.float64)
    common = (np.asarray(kept, dtype=bool) & ~np.isnan(array)).all(axis=0)
    return [mean_interval(row, common, seed) for row in array], int(common.sum()) * bool(len(array))


def paired_difference(
    first: npt.ArrayLike,
    first_kept: npt.ArrayLike,
    second: npt.ArrayLike,
    second_kept: npt.ArrayLike,
    seed: int,
) -> tuple[Interval, int]:
    """Return mean(first - second) over the ids that both keep, with its interval.

    Args:
        first: (n,) one value a sample id; `second` has the same ids.
        first_kept: (n,) bool; likewise `second_kept`.
        seed: seed of the resamples.

    Returns:
        The interval and the number of common kept ids.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    both = np.asarray(first_kept, dtype=bool) & np.asarray(second_kept, dtype=bool)
    both &= ~np.isnan(a) & ~np.isnan(b)
    return mean_interval(a - b, both, seed), int(both.sum())


def excess(
    delta: Floats | Halved, image: Floats | Halved, white: float | Floats | Halved
) -> Floats | Halved:
    """Return HFX: 0 where perturbations are like the images, 1 where they are like white noise.

    Args:
        delta: mean RFC of perturbations, any shape.
        image: mean RFC of the clean images, same shape.
        white: RFC of white noise of that size.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Floats | Halved = (delta - image) / (white - image)
    return result


@lru_cache(maxsize=65536)
def proportion_interval(successes: int, trials: int) -> Interval:
    """Return a proportion with its Wilson score interval; NaN without trials.

    Unlike a bootstrap it is not empty at 0 or 1: 1000 of 1000 gives [.996, 1].
    """
    if trials == 0:
        return NOTHING
    from scipy.stats import binomtest

    found = binomtest(successes, trials).proportion_ci(method="wilson")
    return Interval(successes / trials, float(found.low), float(found.high))


def median_norm(norms: npt.ArrayLike, fooled: npt.ArrayLike, clean_correct: npt.ArrayLike) -> float:
    """Return the median norm alone; see :func:`median_norm_interval`."""
    return median_norm_interval(norms, fooled, clean_correct).mean


def median_norm_interval(
    norms: npt.ArrayLike, fooled: npt.ArrayLike, clean_correct: npt.ArrayLike
) -> Interval:
    """Return the median norm over the clean-correct samples, an unfooled one being infinite.

    The interval is the distribution-free one between two order statistics, as near together as
    covers 95 % exactly; fewer than six samples have none.

    Args:
        norms: (n,) norms of the perturbations.
        fooled: (n,) bool.
        clean_correct: (n,) bool.

    Returns:
        Infinite where fewer than half are fooled, NaN without clean-correct samples.

    Source: David and Nagaraja 2003, Order Statistics, section 7.1.
    """
    attacked = np.asarray(clean_correct, dtype=bool)
    count = int(attacked.sum())
    if count == 0:
        return NOTHING
    sizes = np.where(np.asarray(fooled, dtype=bool), np.asarray(norms, dtype=np.float64), np.inf)
    ordered = np.sort(sizes[attacked])
    middle = float((ordered[(count - 1) // 2] + ordered[count // 2]) / 2)
    place = median_place(count)
    if place == 0:
        return Interval(middle, np.nan, np.nan)
    return Interval(middle, float(ordered[place - 1]), float(ordered[-place]))


@lru_cache(maxsize=4096)
def median_place(n: int) -> int:
    """Return the largest l such that the l-th smallest and largest of n hold the median.

    In at least 95 % of samples of any distribution: the number below the median is binomial.

    Returns:
        0 where not even the smallest and the largest do, which is below six.
    """
    from scipy.special import bdtr

    tails = bdtr(np.arange(n // 2 + 1), n, 0.5)
    return int(np.searchsorted(tails, (1 - LEVEL) / 2, side="right"))


def robust_accuracy(
    norms: npt.ArrayLike, fooled: npt.ArrayLike, clean_correct: npt.ArrayLike, epsilons: Floats
) -> Floats:
    """Return the accuracy that is left at each budget, from minimal norms.

    Args:
        norms: (n,) smallest norms that fool.
        fooled: (n,) bool; an unfooled clean-correct sample survives every budget.
        clean_correct: (n,) bool.
        epsilons: (E,) budgets.

    Returns:
        (E,) share of all n samples that are correct at that budget, in [0, 1].
    """
    correct = np.asarray(clean_correct, dtype=bool)
    sizes = np.where(np.asarray(fooled, dtype=bool), np.asarray(norms, dtype=np.float64), np.inf)
    alive = sizes[correct][None, :] > np.asarray(epsilons)[:, None]
    result: Floats = alive.sum(axis=1) / len(correct)
    return result
