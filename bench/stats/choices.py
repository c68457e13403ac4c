"""A contrast under another choice of statistic: mean, median or pooled, own or common ids.

M models, S seeds paired by number, n sample ids. What is no mean over images has its image error
from resampled ids, the same resamples for all models and seeds; seeds keep Student's t.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from bench.stats.bootstrap import LEVEL, Bools, Floats, resample_counts
from bench.stats.intervals import NOTHING, Z95, Interval
from bench.stats.recipes import FEWEST_SEEDS, seed_quantiles

Statistic = Literal["mean", "median", "pooled"]
DRAWS = 400
"""Resamples of the image error: its SD is then known to 4 %."""


def chosen_contrast(
    values: npt.ArrayLike,
    kept: npt.ArrayLike,
    weights: npt.ArrayLike,
    *,
    statistic: Statistic = "mean",
    energy: npt.ArrayLike | None = None,
    own: bool = False,
    error: float = 1 - LEVEL,
    seed: int = 0,
) -> tuple[Interval, int, int]:
    """Return a contrast, and how many seeds and ids it is over.

    Args:
        values: (M, S, n), NaN where a seed is not there.
        kept: (M, S, n) bool.
        weights: (M,), not 0.
        statistic: over the ids of one model and seed; "pooled" weighs each image by its `energy`:
            of centroids it is the centroid of the pooled spectrum.
        energy: (M, S, n) >= 0.
        own: every model and seed has its own kept ids, else those that all keep.
        error: how often the interval may miss.
        seed: of the resamples.

    Returns:
        The interval (without bounds below three seeds), number of seeds, and of ids: of the model
        and seed with the fewest.
    """
    array, mask = np.asarray(values, dtype=np.float64), np.asarray(kept, dtype=bool)
    w = np.asarray(weights, dtype=np.float64)
    power = np.ones_like(array) if energy is None else np.asarray(energy, dtype=np.float64)
    if statistic != "pooled":
        power = np.ones_like(array)
    mask = mask & np.isfinite(array) & np.isfinite(power)
    seeds = mask.any(axis=2).all(axis=0)
    mask, array, power = mask[:, seeds], array[:, seeds], power[:, seeds]
    if not own:
        mask = np.broadcast_to(mask.all(axis=(0, 1)), mask.shape)
    ids = int(mask.sum(axis=2).min(initial=mask.shape[2])) if seeds.any() else 0
    if ids == 0:
        return NOTHING, int(seeds.sum()), 0
    each = np.einsum("m,ms->s", w, _of(array, mask, power, statistic))
    mean, count = float(each.mean()), int(seeds.sum())
    if count < FEWEST_SEEDS:
        return Interval(mean, np.nan, np.nan), count, ids
    image = _image_variance(array, mask, power, w, statistic, seed)
    z = Z95 if error == 1 - LEVEL else float(-_ndtri(error / 2))
    t = float(seed_quantiles(np.array([count]), error)[0])
    half = float(np.sqrt(z**2 * image + t**2 * each.var(ddof=1) / count))
    return Interval(mean, mean - half, mean + half), count, ids


def image_interval(
    values: npt.ArrayLike,
    kept: npt.ArrayLike,
    weights: npt.ArrayLike,
    error: float = 1 - LEVEL,
) -> Interval:
    """Return a contrast of means with an interval over images alone: of these very weights.

    Args:
        values: (M, n).
        kept: (M, n) bool; the ids that all keep count.
        weights: (M,).
        error: how often the interval may miss.
    """
    array = np.asarray(values, dtype=np.float64)
    common = (np.asarray(kept, dtype=bool) & np.isfinite(array)).all(axis=0)
    n = int(common.sum())
    if n < 2:
        return NOTHING
    each = np.asarray(weights, dtype=np.float64) @ array[:, common]
    half = float(-_ndtri(error / 2) * each.std() / np.sqrt(n))
    return Interval(float(each.mean()), float(each.mean()) - half, float(each.mean()) + half)


def _of(array: Floats, mask: Bools, power: Floats, statistic: Statistic) -> Floats:
    """Return the statistic of each model and seed, (M, S)."""
    if statistic == "median":
        result: Floats = np.nanmedian(np.where(mask, array, np.nan), axis=2)
        return result
    weight = np.where(mask, power, 0.0)
    total: Floats = (weight * np.where(mask, array, 0.0)).sum(axis=2) / weight.sum(axis=2)
    return total


def _image_variance(
    array: Floats, mask: Bools, power: Floats, w: Floats, statistic: Statistic, seed: int
) -> float:
    """Return the variance over resampled ids of the mean over seeds."""
    counts = resample_counts(array.shape[2], seed, DRAWS)
    drawn = np.zeros(DRAWS)
    for m, weight in enumerate(w):
        for s in range(array.shape[1]):
            ids = mask[m, s]
            values, share = array[m, s, ids], power[m, s, ids]
            some = counts[:, ids]
            with np.errstate(invalid="ignore", divide="ignore"):
                found = (
                    _medians(values, some)
                    if statistic == "median"
                    else some @ (share * values) / (some @ share)
                )
            drawn += weight * found / array.shape[1]
    return float(np.nanvar(drawn, ddof=1))


def _medians(values: Floats, counts: Floats) -> Floats:
    """Return the median of values (n,), each taken counts (B, n) times: (B,); NaN of none."""
    order = np.argsort(values)
    below = np.cumsum(counts[:, order], axis=1)
    total = below[:, -1:]
    # the two in the middle, which are one and the same of an odd number
    first, second = (
        (below <= np.floor(place)).sum(axis=1) for place in ((total - 1) / 2, total / 2)
    )
    ordered = np.append(values[order], np.nan)
    result: Floats = np.where(total[:, 0] > 0, (ordered[first] + ordered[second]) / 2, np.nan)
    return result


def _ndtri(p: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(p))
