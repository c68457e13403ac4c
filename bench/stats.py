"""Statistics of the board: arrays in, numbers out.

The protocol's sample ids are resampled with replacement, the same resamples for every model, so
that models are compared on the same draws. Every model averages its own kept ids of a resample;
two models are compared on the ids that both keep.

Shapes: n sample ids, K quantities (or models), B resamples.

Source: Efron and Tibshirani 1993 (percentile bootstrap); Wilson 1927 (proportions); Goldstein and
Spiegelhalter 1996 (rank intervals from pairwise comparisons).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

DRAWS = 2000
"""Resamples of every bootstrap."""

LEVEL = 0.95
"""Coverage of every interval."""

Z95 = 1.959963984540054
"""Standard normal quantile at (1 + LEVEL) / 2."""


class Interval(NamedTuple):
    """An estimate with its 95 % interval; NaN where it does not exist."""

    mean: float
    low: float
    high: float


# ---------------------------------------------------------------- resampling


@lru_cache(maxsize=4)
def resample_counts(n: int, seed: int, draws: int = DRAWS) -> Floats:
    """Return how often each id is in each resample.

    The numbers come from the raw output of PCG64, which numpy keeps stable between versions.

    Args:
        n: number of ids, at least 1.
        seed: seed of the draws, >= 0.
        draws: number of resamples B.

    Returns:
        (B, n) float64 of whole numbers, each row summing to n; read-only, shared between calls.
    """
    raw = np.random.PCG64(seed).random_raw(draws * n).reshape(draws, n)
    chosen = ((raw >> np.uint64(32)) * np.uint64(n) >> np.uint64(32)).astype(np.int64)
    chosen += np.arange(draws)[:, None] * n
    counts = np.bincount(chosen.ravel(), minlength=draws * n).reshape(draws, n).astype(np.float64)
    counts.setflags(write=False)
    return counts


def resampled_means(
    values: npt.ArrayLike, kept: npt.ArrayLike, counts: Floats
) -> tuple[Floats, Floats]:
    """Return the mean over the kept ids, and that mean in every resample.

    Args:
        values: (K, n) or (n,); what is not kept is ignored and may be NaN.
        kept: bool of the same shape.
        counts: (B, n) from :func:`resample_counts`.

    Returns:
        (K,) means and (K, B) resampled means, NaN where no id is kept.
    """
    mask = np.atleast_2d(np.asarray(kept, dtype=bool))
    filled = np.where(mask, np.atleast_2d(np.asarray(values, dtype=np.float64)), 0.0)
    weights = mask.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = filled.sum(axis=1) / weights.sum(axis=1)
        resampled = (filled @ counts.T) / (weights @ counts.T)
    return means, resampled


def percentile_interval(resampled: Floats) -> tuple[Floats, Floats]:
    """Return the 95 % percentile interval of resampled values.

    Args:
        resampled: (K, B); NaN is left out.

    Returns:
        (K,) lower and (K,) upper bounds, NaN where every value is NaN.
    """
    tail = (1 - LEVEL) / 2
    result = np.full((2, len(resampled)), np.nan)
    whole = ~np.isnan(resampled).any(axis=1)
    if whole.all():
        result[:] = np.quantile(resampled, [tail, 1 - tail], axis=1)
        return result[0], result[1]
    for row in range(len(resampled)):
        present = resampled[row][~np.isnan(resampled[row])]
        if len(present):
            result[:, row] = np.quantile(present, [tail, 1 - tail])
    return result[0], result[1]


# ---------------------------------------------------------------- one model


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
    low, high = percentile_interval(resampled)
    return Interval(float(mean[0]), float(low[0]), float(high[0]))


def excess(delta: Floats, image: Floats, white: float | Floats) -> Floats:
    """Return HFX: 0 where perturbations are like the images, 1 where they are like white noise.

    Args:
        delta: mean RFC of perturbations, any shape.
        image: mean RFC of the clean images, same shape.
        white: RFC of white noise of that size.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Floats = (delta - image) / (white - image)
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
    means, resampled = resampled_means(np.stack([top, bottom]), np.stack([mask, mask]), counts)
    value = excess(means[:1], means[1:], white)
    low, high = percentile_interval(excess(resampled[:1], resampled[1:], white))
    return Interval(float(value[0]), float(low[0]), float(high[0]))


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
    """Return the median norm over the clean-correct samples, an unfooled one being infinite.

    Args:
        norms: (n,) norms of the perturbations.
        fooled: (n,) bool.
        clean_correct: (n,) bool.

    Returns:
        The lower median (the smallest norm that fools at least half), infinity if fewer than
        half are fooled, NaN without clean-correct samples.
    """
    attacked = np.asarray(clean_correct, dtype=bool)
    if not attacked.any():
        return float("nan")
    sizes = np.where(np.asarray(fooled, dtype=bool), np.asarray(norms, dtype=np.float64), np.inf)
    ordered = np.sort(sizes[attacked])
    return float(ordered[(len(ordered) - 1) // 2])


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
