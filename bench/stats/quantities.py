"""Several quantities of two models, read together: stepdown max-|t| over the quantities.

Q quantities, n sample ids.

Source: Romano and Wolf 2005.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bench.stats.bootstrap import Bools, resample_counts
from bench.stats.intervals import Interval
from bench.stats.pairs import Pairs
from bench.stats.stepdown import at_least_one, bars, drawn, normal_score, stepdown


def simultaneous_differences(
    differences: npt.ArrayLike, kept: npt.ArrayLike, seed: int
) -> tuple[list[Interval], Bools]:
    """Return mean paired differences of several quantities with intervals that hold together.

    Args:
        differences: (Q, n) first minus second, one row a quantity.
        kept: (Q, n) bool; what is not finite is left out as well.
        seed: seed of the resamples.

    Returns:
        Q intervals that all hold together in 95 % of cases, and (Q,) whether the stepdown tells
        the two apart, which it may where the interval still holds 0. A quantity with fewer than
        FEWEST_IDS ids takes no part and has no interval.

    Raises:
        ValueError: not (Q, n) twice.
    """
    array, mask = np.asarray(differences, dtype=np.float64), np.asarray(kept, dtype=bool)
    if array.ndim != 2 or mask.shape != array.shape:
        raise ValueError(
            f"expected both arrays of one shape (Q, n), found {array.shape} and {mask.shape}"
        )
    n = array.shape[1]
    mask = mask & np.isfinite(array)
    rows = np.where(mask, array, 0.0)
    common = mask.sum(axis=1)
    mean = rows.sum(axis=1) / np.maximum(common, 1)
    pairs = Pairs(mean, (((rows - mean[:, None]) * mask) ** 2).sum(axis=1), common)
    used = np.flatnonzero(pairs.comparable)
    counts = resample_counts(n, seed).astype(np.float32)
    score = normal_score(pairs.statistic(), common)[used]
    critical = at_least_one(stepdown(score, lambda q: drawn(rows[used[q]], mask[used[q]], counts)))
    half = np.full(len(mean), np.nan)
    half[used] = bars(critical.first, n)[common[used]] * pairs.error()[used]
    apart: Bools = pairs.statistic() > bars(critical.last, n)[common]
    means = np.where(common > 0, mean, np.nan)
    bounds = np.stack([means, means - half, means + half], axis=1)
    return [Interval(*map(float, row)) for row in bounds], apart
