"""How near a minimal attack comes to the smallest perturbations that are known.

Source: Cina et al. 2024, AttackBench (arXiv 2404.19460): the area score.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bench.stats.bootstrap import Floats, percentile_interval, resample_counts, resampled_means
from bench.stats.intervals import Interval, mean_interval, proportion_interval

LONGER = 0.01
"""Relative excess over the best known distance above which a sample counts as too long."""


class Optimality(NamedTuple):
    """Found against best known distances over the clean-correct samples.

    Attributes:
        n: clean-correct samples with a best known distance.
        score: 1 - (mean d - mean d*) / (D - mean d*), both cut at D, the largest d*: 1 is
            perfect. NaN where all d* are equal. Its interval holds D fixed.
        longer: share of samples with d > 1.01 d*, Wilson interval.
        excess: mean of d / d* - 1; infinite, without interval, if a sample was not fooled that
            another attack fools.
    """

    n: int
    score: Interval
    longer: Interval
    excess: Interval


def optimality(
    found: npt.ArrayLike, best: npt.ArrayLike, correct: npt.ArrayLike, seed: int = 0
) -> Optimality:
    """Compare an attack's distances d with the best known d*.

    Args:
        found: (n,) distances that the attack found; infinite or NaN where it did not fool.
        best: (n,) smallest distances that any attack found, infinite where none fools; NaN where
            no other attack was run: such a sample takes no part. A shorter `found` replaces it.
        correct: (n,) bool, the clean-correct samples.
        seed: seed of the resamples.

    Returns:
        NaN throughout without a sample.

    Raises:
        ValueError: a negative distance, or lengths that differ.
    """
    d, known = np.asarray(found, dtype=np.float64), np.asarray(best, dtype=np.float64)
    mask = np.asarray(correct, dtype=bool)
    if not d.shape == known.shape == mask.shape or d.ndim != 1:
        raise ValueError(
            f"expected three arrays (n,), found {d.shape}, {known.shape} and {mask.shape}"
        )
    if (d < 0).any() or (known < 0).any():
        raise ValueError("expected distances >= 0, found a negative one; pass norms")
    d, known = np.where(np.isnan(d), np.inf, d), np.where(mask, known, np.nan)
    used = ~np.isnan(known)
    shortest = np.fmin(d, known)
    over = _excess(d, shortest)
    n, mean = int(used.sum()), float(over[used].mean()) if used.any() else np.nan
    excess = Interval(mean, np.nan, np.nan) if np.isinf(mean) else mean_interval(over, used, seed)
    longer = proportion_interval(int((over[used] > LONGER).sum()), n)
    return Optimality(n, _score(d, np.where(used, shortest, np.nan), seed), longer, excess)


def _excess(d: Floats, shortest: Floats) -> Floats:
    """Return d / d* - 1: 0 where both are 0 or infinite, infinite where only d* is small."""
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Floats = np.where(d == shortest, 0.0, d / shortest - 1)
    return result


def _score(d: Floats, shortest: Floats, seed: int) -> Interval:
    used = ~np.isnan(shortest)
    finite = shortest[used & np.isfinite(shortest)]
    if len(finite) == 0 or np.ptp(finite) == 0:
        return Interval(np.nan, np.nan, np.nan)
    largest = finite.max()
    cut = np.stack([np.minimum(d, largest), np.minimum(shortest, largest)])
    means, resampled = resampled_means(cut, used, resample_counts(len(d), seed))
    with np.errstate(invalid="ignore", divide="ignore"):
        draws = 1 - (resampled[0] - resampled[1]) / (largest - resampled[1])
        score = 1 - (means[0] - means[1]) / (largest - means[1])
    low, high = percentile_interval(np.where(np.isfinite(draws), draws, np.nan))
    return Interval(float(score), float(low), float(high))
