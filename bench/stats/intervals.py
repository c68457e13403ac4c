"""Statistics of the board: arrays in, numbers out.

Every model averages its own kept ids of a resample; two models are compared on the ids that both
keep (see :mod:`bench.stats.bootstrap`). Shapes: n sample ids, in the protocol's order.

Source: Wilson 1927 (proportions); Efron and Tibshirani 1993 (percentile bootstrap).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bench.stats.bootstrap import (
    Floats,
    Halved,
    percentile_interval,
    resample_counts,
    resampled_means,
)

Z95 = 1.959963984540054
"""Standard normal quantile at .975."""


class Interval(NamedTuple):
    """An estimate with its 95 % interval; NaN where it does not exist."""

    mean: float
    low: float
    high: float


def mean_interval(values: npt.ArrayLike, kept: npt.ArrayLike, seed: int) -> Interval:
    """Return the mean of a per-sample quantity over the kept samples, with its interval.

    Args:
        values: (n,) one value a sample id, in the protocol's order.
        kept: (n,) bool; a sample whose value is NaN is left out as well.
        seed: seed of the resamples (the protocol's).

    Returns:
        NaN throughout if no sample is kept.
    """
    array = np.asarray(values, dtype=np.float64)
    mask = np.asarray(kept, dtype=bool) & ~np.isnan(array)
    if not mask.any():
        return Interval(np.nan, np.nan, np.nan)
    mean, resampled = resampled_means(array, mask, resample_counts(len(array), seed))
    return Interval(float(mean), *map(float, percentile_interval(resampled)))


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


def hfx_interval(
    rfc: npt.ArrayLike, image_rfc: npt.ArrayLike, kept: npt.ArrayLike, white: float, seed: int
) -> Interval:
    """Return HFX over the kept samples; the interval bootstraps the whole ratio.

    Args:
        rfc: (n,) RFC of the perturbations.
        image_rfc: (n,) RFC of the clean images.
        kept: (n,) bool.
        white: RFC of white noise of that image size.
        seed: seed of the resamples.
    """
    top, bottom = np.asarray(rfc, dtype=np.float64), np.asarray(image_rfc, dtype=np.float64)
    mask = np.asarray(kept, dtype=bool) & ~np.isnan(top) & ~np.isnan(bottom)
    if not mask.any():
        return Interval(np.nan, np.nan, np.nan)
    counts = resample_counts(len(top), seed)
    means, resampled = resampled_means(np.stack([top, bottom]), mask, counts)
    low, high = percentile_interval(excess(resampled[0], resampled[1], white))
    return Interval(float(excess(means[0], means[1], white)), float(low), float(high))


def proportion_interval(successes: int, trials: int) -> Interval:
    """Return a proportion with its Wilson score interval.

    Unlike a bootstrap it is not empty at 0 or 1: 1000 of 1000 gives [.996, 1].
    """
    if trials == 0:
        return Interval(np.nan, np.nan, np.nan)
    share, z2 = successes / trials, Z95**2
    centre = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z95 / (1 + z2 / trials)
    half *= np.sqrt(share * (1 - share) / trials + z2 / (4 * trials**2))
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == trials else min(1.0, centre + half)
    return Interval(share, float(low), float(high))


def median_norm(norms: npt.ArrayLike, fooled: npt.ArrayLike, clean_correct: npt.ArrayLike) -> float:
    """Return the median norm alone; see :func:`median_norm_interval`."""
    return median_norm_interval(norms, fooled, clean_correct).mean


def median_norm_interval(
    norms: npt.ArrayLike, fooled: npt.ArrayLike, clean_correct: npt.ArrayLike
) -> Interval:
    """Return the median norm over the clean-correct samples, an unfooled one being infinite.

    The interval is the distribution-free one between two order statistics.

    Args:
        norms: (n,) norms of the perturbations.
        fooled: (n,) bool.
        clean_correct: (n,) bool.

    Returns:
        Infinite where fewer than half are fooled, NaN without clean-correct samples.
    """
    attacked = np.asarray(clean_correct, dtype=bool)
    count = int(attacked.sum())
    if count == 0:
        return Interval(np.nan, np.nan, np.nan)
    sizes = np.where(np.asarray(fooled, dtype=bool), np.asarray(norms, dtype=np.float64), np.inf)
    ordered = np.sort(sizes[attacked])
    half = Z95 / 2 * np.sqrt(count)
    low = max(0, int(np.floor(count / 2 - half)) - 1)
    high = min(count - 1, int(np.ceil(count / 2 + half)))
    middle = (ordered[(count - 1) // 2] + ordered[count // 2]) / 2
    return Interval(float(middle), float(ordered[low]), float(ordered[high]))


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
