"""Rank correlations over models, with intervals: arrays in, numbers out.

Everything follows from the signs of pairwise differences, S_ij = sign(x_i - x_j): sum_j S_ij is
twice the centred rank of i (ties share theirs), so a resample of models is a vector of weights.
Shapes: n models, B resamples.

Sources: Spearman 1904; Kendall 1945 (tau-b); Bonett and Wright 2000 (standard error of Spearman's
rho); Fieller, Hartley and Pearson 1957 (of Kendall's tau).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bench.stats.bootstrap import LEVEL, Floats, percentile_interval, resample_counts
from bench.stats.intervals import NOTHING, Z95, Interval

FEWEST = 4
"""Models below which no correlation is reported: of three, one order in three is perfect."""
_CELLS = 4_000_000
"""Pairwise signs that are in memory together."""


class Correlation(NamedTuple):
    """Both rank correlations over n models; NaN with fewer than FEWEST or a constant side."""

    n: int
    spearman: Interval
    kendall: Interval


def rank_correlations(
    x: npt.ArrayLike, y: npt.ArrayLike, seed: int, resampled_x: npt.ArrayLike | None = None
) -> Correlation:
    """Return Spearman's rho and Kendall's tau-b with 95 % intervals.

    The interval is the percentile interval of the bootstrap over models, widened to the one in
    closed form where that is wider: of few models in perfect order every resample is in perfect
    order too, and the bootstrap alone would call that certain.

    Args:
        x: (n,) one value a model; a model without a value on either side is left out.
        y: (n,).
        seed: seed of the resamples, >= 0.
        resampled_x: (n, B) values of `x` in each resample of what they were measured on; then
            the interval carries the uncertainty of each `x` as well.
    """
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    there = ~np.isnan(a) & ~np.isnan(b)
    n = int(there.sum())
    a, b = a[there], b[there]
    if n < FEWEST or np.ptp(a) == 0 or np.ptp(b) == 0:
        return Correlation(n, NOTHING, NOTHING)
    point = _both(_signs(a), _signs(b), np.ones((1, n)))
    counts = resample_counts(n, seed)
    moved = None
    if resampled_x is not None:
        moved = np.asarray(resampled_x, dtype=np.float64)[there].T
    resampled = _resampled(a, b, counts, moved)
    closed = spearman_closed(float(point[0, 0]), n), kendall_closed(float(point[1, 0]), n)
    rho, tau = (_widened(float(point[i, 0]), resampled[i], *closed[i]) for i in (0, 1))
    return Correlation(n, rho, tau)


def spearman_closed(rho: float, n: int, error: float = 1 - LEVEL) -> tuple[float, float]:
    """Return Bonett and Wright's interval of Spearman's rho, n >= 4, that misses with that error.

    A perfect order counts as one swap of neighbours away from it, where the interval exists.
    """
    from scipy.special import ndtri

    bound = 1 - 12 / (n * (n * n - 1))
    near = min(max(rho, -bound), bound)
    z = Z95 if error == 1 - LEVEL else float(-ndtri(error / 2))
    return _fisher(near, ((1 + near**2 / 2) / (n - 3)) ** 0.5 * z / Z95)


def kendall_closed(tau: float, n: int) -> tuple[float, float]:
    """Return Fieller's 95 % interval of Kendall's tau; all of [-1, 1] for 4 models."""
    if n <= FEWEST:
        return -1.0, 1.0
    bound = 1 - 4 / (n * (n - 1))
    return _fisher(min(max(tau, -bound), bound), (0.437 / (n - 4)) ** 0.5)


def _fisher(value: float, error: float) -> tuple[float, float]:
    z = np.arctanh(value)
    return float(np.tanh(z - Z95 * error)), float(np.tanh(z + Z95 * error))


def _widened(value: float, resampled: Floats, low: float, high: float) -> Interval:
    below, above = percentile_interval(resampled)
    return Interval(value, float(np.fmin(below, low)), float(np.fmax(above, high)))


def _signs(values: Floats) -> Floats:
    """(..., n) values to (..., n, n) signs of their differences; infinities are equal."""
    column, row = values[..., :, None], values[..., None, :]
    result: Floats = (column > row).astype(np.float64) - (column < row)
    return result


def _both(s: Floats, t: Floats, weights: Floats) -> Floats:
    """Spearman and Kendall (2, B) of models with weights (B, n); `s` and `t` ([B,] n, n)."""

    def ranks(signs: Floats) -> Floats:
        result: Floats = np.matmul(signs, weights[..., None])[..., 0]
        return result

    def pairs(signs: Floats) -> Floats:
        result: Floats = (weights * ranks(signs)).sum(axis=-1)
        return result

    a, b = ranks(s), ranks(t)
    with np.errstate(invalid="ignore", divide="ignore"):
        squares = (weights * a * a).sum(axis=-1) * (weights * b * b).sum(axis=-1)
        rho = (weights * a * b).sum(axis=-1) / np.sqrt(squares)
        tau = pairs(s * t) / np.sqrt(pairs(s * s) * pairs(t * t))
    return np.stack([rho, tau])


def _resampled(x: Floats, y: Floats, counts: Floats, moved: Floats | None) -> Floats:
    """Return both correlations in every resample, (2, B); NaN where a side is constant."""
    fixed, t = _signs(x), _signs(y)
    step = max(1, _CELLS // len(x) ** 2)
    parts = []
    for start in range(0, len(counts), step):
        chosen = slice(start, start + step)
        s = fixed if moved is None else _signs(moved[chosen])
        found = _both(s, t, counts[chosen])
        if moved is not None:
            found[:, np.isnan(moved[chosen]).any(axis=1)] = np.nan
        parts.append(found)
    return np.concatenate(parts, axis=1)
