"""The bootstrap over sample ids, as a matrix product.

The protocol's ids are resampled with replacement, the same resamples for every model, so that
models are compared on the same draws. Shapes: n sample ids, B resamples.

Source: Efron and Tibshirani 1993 (percentile bootstrap).
"""

from __future__ import annotations

import os
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Halved = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

DRAWS = 2000
"""Resamples of every bootstrap."""
LEVEL = 0.95
"""Coverage of every interval."""


def workers() -> int:
    """Return how many threads to work with."""
    return min(8, os.cpu_count() or 1)


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
    values: npt.ArrayLike, kept: npt.ArrayLike, counts: Floats | Halved
) -> tuple[Floats, Floats | Halved]:
    """Return the mean over the kept ids, and that mean in every resample.

    Args:
        values: (..., n); what is not kept is ignored and may be NaN.
        kept: bool, same shape or one that is shared by leading dimensions of `values`.
        counts: (B, n) from :func:`resample_counts`. As float32 the product is twice as fast
            and the same on every machine, with values rounded to 1/2^24 of n times the largest.

    Returns:
        (...) means and (..., B) resampled means in the type of `counts`, NaN where no id is kept.
    """
    mask = np.asarray(kept, dtype=bool)
    filled = np.where(mask, np.asarray(values, dtype=np.float64), 0.0)
    weights = mask.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = filled.sum(axis=-1) / weights.sum(axis=-1)
        resampled = resampled_sums(filled, counts) / resampled_sums(weights, counts)
    return means, resampled


def resampled_sums(rows: Floats, counts: Floats | Halved) -> Floats | Halved:
    """Return sums over the ids of each resample, as one matrix product.

    Args:
        rows: (..., n) finite values.
        counts: (B, n); as float32 the sums are the same on every machine.

    Returns:
        (..., B) in the type of `counts`.
    """
    flat = rows.reshape(-1, rows.shape[-1])
    if counts.dtype == np.float32:
        # whole numbers whose sums stay below 2^24: exact, whatever the order of summation
        largest = max(float(np.abs(flat).max(initial=0.0)), 1e-300)
        scale = 2.0 ** np.floor(np.log2(2**24 / (flat.shape[1] * largest)))
        whole = np.rint(flat * scale).astype(np.float32)
        product = (whole @ counts.T) * np.float32(1 / scale)
    else:
        product = flat @ counts.T
    result: Floats | Halved = product.reshape(*rows.shape[:-1], len(counts))
    return result


def percentile_interval(resampled: Floats | Halved) -> tuple[Floats, Floats]:
    """Return the 95 % percentile interval of resampled values.

    Args:
        resampled: (..., B); NaN (a resample without a kept id) is left out.

    Returns:
        (...) lower and (...) upper bounds, NaN where every value is NaN.
    """
    tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    rows = resampled.reshape(-1, resampled.shape[-1])
    bounds = np.full((2, len(rows)), np.nan)
    whole = ~np.isnan(rows).any(axis=1)
    bounds[:, whole] = np.quantile(rows if whole.all() else rows[whole], tails, axis=1)
    for row in np.flatnonzero(~whole):
        present = rows[row][~np.isnan(rows[row])]
        if len(present):
            bounds[:, row] = np.quantile(present, tails)
    low, high = bounds.reshape(2, *resampled.shape[:-1])
    return low, high
