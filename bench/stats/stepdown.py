"""Many comparisons at once: the stepdown max-|t| procedure, with draws that all of them share.

The comparisons' errors are drawn together, so the critical value knows how they hang together:
28 differences of 8 models are not 28 independent tests. P comparisons, B draws, n sample ids.

Sources: Romano and Wolf 2005 (stepdown with resamples); Westfall and Young 1993 (max-t).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bench.stats.bootstrap import DRAWS, LEVEL, Bools, Floats, Halved, resampled_sums
from bench.stats.intervals import Z95

Ints = npt.NDArray[np.int64]
Draw = Callable[[Ints], Floats | Halved]

FEWEST_IDS = 30
"""Common ids below which nothing is claimed of a pair (see tests/benchmarks/rank_coverage.py)."""
_BLOCK = 512


class Critical(NamedTuple):
    """Critical values of one stepdown.

    Attributes:
        first: with every comparison open; what a simultaneous interval uses.
        last: with those alone open that are not told apart; a claim is a statistic above it.
    """

    first: float
    last: float


def stepdown(statistic: Floats, draw: Draw) -> Critical:
    """Return the critical values at which at most 5 % of experiments make any wrong claim.

    All comparisons start open. Those above the 95 % point of the largest |error| among the open
    ones are told apart and leave, until none leaves.

    Args:
        statistic: (P,) absolute standardised differences, >= 0, may be infinite.
        draw: takes p indices of comparisons, returns (p, B) draws of their standardised errors;
            the same draw of the world in each column, however often it is called.

    Returns:
        NaN without a comparison.
    """
    if len(statistic) == 0:
        return Critical(np.nan, np.nan)
    # the open ones are the smallest statistics, so running maxima in this order are enough
    order = np.argsort(statistic, kind="stable")
    ordered = statistic[order]
    tops: list[Floats | Halved] = []
    for start in range(0, len(order), _BLOCK):
        top = np.abs(draw(order[start : start + _BLOCK])).max(axis=0)
        tops.append(np.maximum(tops[-1], top) if tops else top)

    def critical(count: int) -> float:
        whole, rest = divmod(count, _BLOCK)
        if rest == 0 or count == len(order):
            return upper_point(tops[(count - 1) // _BLOCK])
        top = np.abs(draw(order[whole * _BLOCK : count])).max(axis=0)
        return upper_point(np.maximum(tops[whole - 1], top) if whole else top)

    first = last = critical(len(order))
    left = len(order)
    while 0 < (now := int(np.searchsorted(ordered, last, side="right"))) < left:
        left, last = now, critical(now)
    return Critical(first, last)


def at_least_one(critical: Critical) -> Critical:
    """Return critical values of the normal scale, no less than those of one comparison.

    Where all open models are equal, the draws have no error at all.
    """
    return Critical(*np.maximum(critical, Z95).tolist())


def upper_point(draws: Floats | Halved) -> float:
    """Return the smallest draw that at least 95 % of B + 1 equally likely places lie below."""
    place = min(int(np.ceil(LEVEL * (len(draws) + 1))), len(draws))
    return float(np.partition(draws, place - 1)[place - 1])


def standardised(rows: Floats, mask: Bools) -> Floats:
    """Return what each id contributes to the standardised error of a row's mean.

    Under multinomial resampling the sum over a resample's ids has mean 0 and variance 1.

    Args:
        rows: (p, n) finite values.
        mask: (p, n) the ids that count.

    Returns:
        (p, n), 0 where the mask is False and in rows without spread.
    """
    weights = mask.astype(np.float64)
    count = np.maximum(weights.sum(axis=1, keepdims=True), 1)
    deviation = (rows - (rows * weights).sum(axis=1, keepdims=True) / count) * weights
    norm = np.sqrt((deviation**2).sum(axis=1, keepdims=True))
    noise = 1e-12 * np.abs(rows).max(axis=1, initial=0.0, keepdims=True) * np.sqrt(count)
    result: Floats = np.where(norm > noise, deviation / np.where(norm > 0, norm, 1), 0.0)
    return result


def drawn(rows: Floats, mask: Bools, counts: Halved) -> Halved:
    """Return (p, B) standardised errors of the rows' means in each resample."""
    result = resampled_sums(standardised(rows, mask), counts)
    assert result.dtype == np.float32, "counts are float32, so that draws agree everywhere"
    return result.astype(np.float32, copy=False)


def normal_score(t: Floats, common: Ints) -> Floats:
    """Return the normal quantile that is as rare as |t| of a mean of `common` ids.

    So a critical value of the normal scale is as strict for few ids as Student's t is.
    """
    from scipy.special import ndtri, stdtr

    with np.errstate(divide="ignore"):
        tail = stdtr(np.maximum(common - 1, 1), -np.abs(t))
        result: Floats = np.maximum(-ndtri(tail), 0.0)
    return result


def bars(critical: float, n: int) -> Floats:
    """Return the |t| that a mean of 0, 1, ... n ids must exceed: the inverse of normal_score.

    Returns:
        (n + 1,), infinite below FEWEST_IDS and where `critical` is NaN.
    """
    from scipy.special import ndtr, stdtrit

    result = np.full(n + 1, np.inf)
    if not np.isnan(critical):
        counts = np.arange(FEWEST_IDS, n + 1)
        result[FEWEST_IDS:] = -stdtrit(counts - 1, ndtr(-critical))
    return result


def bonferroni(comparisons: int) -> float:
    """Return the normal critical value that holds for any dependence; NaN without comparisons."""
    from scipy.special import ndtri

    return float(-ndtri((1 - LEVEL) / (2 * comparisons))) if comparisons else float("nan")


def uniforms(seed: int, rows: int, draws: int = DRAWS) -> Floats:
    """Return (rows, draws) numbers inside (0, 1), apart from the draws of the resamples."""
    raw = np.random.PCG64(np.random.SeedSequence([seed, 1])).random_raw(rows * draws)
    result: Floats = ((raw >> np.uint64(11)).astype(np.float64) + 0.5) / 2**53
    return result.reshape(rows, draws)
