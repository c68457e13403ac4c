"""Ranks with their uncertainty: who is separable from whom, rank intervals, tie groups.

Lower is better throughout. M models, n sample ids.

Source: Goldstein and Spiegelhalter 1996 (rank intervals); bootstrap of a ratio under multinomial
resampling: Efron and Tibshirani 1993, chapter 10.
"""

from __future__ import annotations

import os
import string
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from bench.stats.bootstrap import Bools, Floats, percentile_interval, resampled_means
from bench.stats.intervals import Z95

Signs = npt.NDArray[np.int8]
Reals = npt.NDArray[np.float32] | npt.NDArray[np.float64]

MAX_BOOTSTRAPPED = 200
"""Up to this many models every doubtful pair is bootstrapped; beyond, the bootstrap's standard
error in closed form decides (its limit for many resamples, without skewness)."""
_DOUBTFUL = (1.0, 4.0)
"""Pairs whose |difference| / (standard error) lies outside are clear without a bootstrap."""
_FEW = 30
"""Common ids below which the standard error alone decides nothing."""
_BLOCK = 512


def separable(values: npt.ArrayLike, kept: npt.ArrayLike, counts: Floats) -> Signs:
    """Compare all pairs of models on the ids that both keep.

    Args:
        values: (M, n) one value a model and id; what is not kept may be NaN.
        kept: (M, n) bool.
        counts: (B, n) from :func:`bench.stats.intervals.resample_counts`.

    Returns:
        (M, M): -1 where the row is significantly lower (better) than the column, 1 where it is
        higher, 0 where the 95 % interval of the paired difference holds 0 or no id is common.
    """
    mask = np.asarray(kept, dtype=bool)
    # zeros under a weight of 0 drop out of every product, where NaN would spread
    filled = np.where(mask, np.asarray(values, dtype=np.float64), 0.0)
    models = len(filled)
    result = np.zeros((models, models), dtype=np.int8)
    if models == 0:
        return result
    exact = models <= MAX_BOOTSTRAPPED
    # centred, so that squares of differences keep their digits in float32
    # (a constant of each id falls out of the paired differences)
    centre = filled.sum(axis=0) / np.maximum(mask.sum(axis=0), 1)
    centred: Reals = np.where(mask, filled - centre, 0.0)
    weights: Reals = mask.astype(np.float64)
    # with many models the products are the cost; float32 is twice as fast, and z needs 3 digits
    if not exact:
        centred, weights = centred.astype(np.float32), weights.astype(np.float32)
    starts = range(0, models, _BLOCK)
    # the other half follows, since z(j, i) = -z(i, j)
    blocks = [(top, left) for top in starts for left in starts if top <= left]

    def fill(block: tuple[int, int]) -> None:
        rows, columns = (slice(start, start + _BLOCK) for start in block)
        z, common = _standardised(centred, weights, rows, columns)
        signs = (np.sign(z) * (np.abs(z) > Z95)).astype(np.int8)
        result[rows, columns] = signs
        if rows != columns:
            result[columns, rows] = -signs.T
        elif exact:
            _bootstrap_doubtful(result, z, common, filled, mask, counts)

    with ThreadPoolExecutor(workers()) as pool:
        list(pool.map(fill, blocks))
    return result


def workers() -> int:
    """Return how many threads to work with."""
    return min(8, os.cpu_count() or 1)


def _standardised(
    values: Reals, weights: Reals, rows: slice, columns: slice
) -> tuple[Reals, Reals]:
    """Mean paired difference over its standard error, and the number of common ids."""
    a, ka, b, kb = values[rows], weights[rows], values[columns], weights[columns]
    common = ka @ kb.T
    # sums over the common ids of (a - b) and (a - b)^2, multiplied out so that each is a product of
    # matrices: M^2 pairs would not fit as differences (M, M, n)
    total = a @ kb.T - ka @ b.T
    squares = (a * a) @ kb.T + ka @ (b * b).T - 2 * (a @ b.T)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / common
        # under multinomial resampling var(ratio) = sum (d - mean)^2 / n^2
        # (rounding may leave a square below 0)
        spread = np.sqrt(np.maximum(squares - common * mean**2, 0)) / common
        # equal values leave rounding in both: 0 / 0 must not look like a difference
        floor = 1e-6 if values.dtype == np.float32 else 1e-12
        z = np.where(np.abs(mean) <= floor, 0, mean / np.maximum(spread, floor))
    return np.where(common > 0, z, 0), common


def _bootstrap_doubtful(
    result: Signs,
    z: Reals,
    common: Reals,
    values: Floats,
    mask: Bools,
    counts: Floats,
) -> None:
    doubtful = ((np.abs(z) > _DOUBTFUL[0]) & (np.abs(z) < _DOUBTFUL[1])) | (common < _FEW)
    first, second = np.nonzero(np.triu(doubtful & (common > 0), k=1))
    # in parts, for a pair's resamples and ids are (B + n) numbers
    for start in range(0, len(first), 256):
        i, j = first[start : start + 256], second[start : start + 256]
        _, resampled = resampled_means(values[i] - values[j], mask[i] & mask[j], counts)
        low, high = percentile_interval(resampled)
        signs = (low > 0).astype(np.int8) - (high < 0).astype(np.int8)
        result[i, j], result[j, i] = signs, -signs


def rank_intervals(signs: Signs) -> npt.NDArray[np.int64]:
    """Return [1 + number significantly better, M - number significantly worse] of each model.

    Args:
        signs: (M, M) from :func:`separable`.

    Returns:
        (M, 2) lowest and highest rank.
    """
    better = (signs > 0).sum(axis=1)
    worse = (signs < 0).sum(axis=1)
    return np.stack([1 + better, len(signs) - worse], axis=1)


def tie_groups(order: Sequence[int], signs: Signs) -> list[str]:
    """Return the tie group of each model, best first: "a", "b", ... "z", "aa", ...

    A group holds the models that are not separable from its first member; the first model that
    is opens the next group.

    Args:
        order: model indices, best first.
        signs: (M, M) from :func:`separable`.

    Returns:
        Group letters by model index.
    """
    groups = [""] * len(order)
    first, number = None, -1
    for model in order:
        if first is None or signs[first, model] != 0:
            first, number = model, number + 1
        groups[model] = letters(number)
    return groups


def letters(number: int) -> str:
    """Return 0 -> "a", 25 -> "z", 26 -> "aa"."""
    text = ""
    number += 1
    while number > 0:
        number, digit = divmod(number - 1, 26)
        text = string.ascii_lowercase[digit] + text
    return text
