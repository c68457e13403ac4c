"""Rank sets of models that hold together: these very weights, images as the source of error.

Lower is better throughout. Two models are compared on the ids that both keep, all pairs with the
same resamples of ids. M models, n sample ids, P = M (M - 1) / 2 pairs.

Sources: Romano and Wolf 2005 (stepdown max-|t|); Mogstad, Romano, Shaikh and Wilhelm 2024
(simultaneous confidence sets for ranks).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bench.stats.bootstrap import Floats, resample_counts, workers
from bench.stats.pairs import Models, Pairs, prepare
from bench.stats.ranks import Signs, rank_intervals
from bench.stats.stepdown import (
    Critical,
    Ints,
    at_least_one,
    bars,
    bonferroni,
    normal_score,
    stepdown,
)

MAX_DRAWN = 200
"""Up to this many models the critical value is drawn; beyond, Bonferroni's, which is wider: with
10,000 models the draws of 50 million pairs would take hours."""
_BLOCK = 512
_GAPS = 1000


@dataclass(frozen=True)
class Significance:
    """Which models are told apart, all pairs at once.

    Attributes:
        signs: (M, M): -1 where the row is significantly lower (better) than the column, 1 where
            it is higher, 0 where the two are not told apart.
        critical: the critical value that a claim exceeds (normal scale), after the last step; NaN
            if no pair has enough common ids.
        gap: the smallest gap that can be told: the difference that half of the comparable pairs
            would need, the critical value with all pairs open times the pairs' median standard
            error; NaN if no pair has enough common ids.
        seed_sd: (M,) the standard deviation over training seeds at which the first of a model's
            claims would fall (see :func:`surviving_seed_sd`); NaN without a claim.
    """

    signs: Signs
    critical: float
    gap: float
    seed_sd: Floats

    @property
    def rank_sets(self) -> npt.NDArray[np.int64]:
        """(M, 2) lowest and highest rank of each model."""
        return rank_intervals(self.signs)


def rank_sets(values: npt.ArrayLike, kept: npt.ArrayLike, seed: int) -> npt.NDArray[np.int64]:
    """Return the set of ranks of each model, all of them right together in 95 % of boards.

    Args:
        values: (M, n) one value a model and sample id, lower is better; what is not kept may be
            NaN.
        kept: (M, n) bool.
        seed: seed of the resamples (the protocol's), >= 0.

    Returns:
        (M, 2): 1 + number significantly better, M - number significantly worse.

    Raises:
        ValueError: not (M, n) twice.
    """
    return significance(values, kept, seed).rank_sets


def significance(values: npt.ArrayLike, kept: npt.ArrayLike, seed: int) -> Significance:
    """Compare all pairs of models at once; arguments as :func:`rank_sets`.

    A pair with fewer than FEWEST_IDS common ids is not compared. The same difference on every
    common id is a difference without error; none on any is none.
    """
    models = prepare(values, kept)
    count, n = models.values.shape
    if count > MAX_DRAWN:
        models = models.narrowed()
        critical = Critical(*[bonferroni(count * (count - 1) // 2)] * 2)
    else:
        critical = _drawn_critical(models, seed)
    first, last = bars(critical.first, n), bars(critical.last, n)
    blocks = _blocks(count)
    with ThreadPoolExecutor(workers()) as pool:
        judged = list(pool.map(lambda block: _judge(models, block, first, last), blocks))
    signs = np.zeros((count, count), dtype=np.int8)
    seed_sd = np.full(count, np.inf)
    for (rows, columns), found in zip(blocks, judged, strict=True):
        signs[rows, columns] += found.signs
        signs[columns, rows] -= found.signs.T
        seed_sd[rows] = np.minimum(seed_sd[rows], found.row_sd)
        seed_sd[columns] = np.minimum(seed_sd[columns], found.column_sd)
    seed_sd[np.isinf(seed_sd)] = np.nan
    gaps = np.concatenate([np.empty(0), *(found.gaps for found in judged)])
    gap = float(np.median(gaps)) if len(gaps) else float("nan")
    return Significance(signs, critical.last, gap, seed_sd)


class _Judged(NamedTuple):
    """One block of pairs: signs above the diagonal, where its claims fall, what could be told."""

    signs: Signs
    row_sd: Floats
    column_sd: Floats
    gaps: Floats


def _judge(models: Models, block: tuple[slice, slice], first: Floats, last: Floats) -> _Judged:
    rows, columns = block
    pairs = models.pairs(rows, columns)
    above = np.arange(rows.start, rows.stop)[:, None] < np.arange(columns.start, columns.stop)
    bar, error = last[pairs.common], pairs.error()
    claimed = (pairs.statistic() > bar) & above
    sd = np.full(claimed.shape, np.inf)
    sd[claimed] = surviving_seed_sd(pairs.difference[claimed], bar[claimed], error[claimed] ** 2)
    compared = pairs.comparable & above
    gaps = first[pairs.common[compared]] * error[compared]
    if len(models.values) > MAX_DRAWN:  # millions of pairs: some of them tell the median
        gaps = gaps[:: max(1, len(gaps) // _GAPS)]
    signs = (np.sign(pairs.difference) * claimed).astype(np.int8)
    return _Judged(signs, sd.min(axis=1), sd.min(axis=0), gaps)


def _drawn_critical(models: Models, seed: int) -> Critical:
    first, second, pairs = comparable_pairs(models)
    counts = resample_counts(models.values.shape[1], seed).astype(np.float32)
    score = normal_score(pairs.statistic(), pairs.common)
    found = stepdown(score, lambda chosen: models.drawn(first[chosen], second[chosen], counts))
    return at_least_one(found)


def comparable_pairs(models: Models) -> tuple[Ints, Ints, Pairs]:
    """Return the P pairs i < j that have enough common ids: (P,) i, (P,) j, (P,) numbers."""
    whole = models.pairs(slice(None), slice(None))
    first, second = np.nonzero(np.triu(whole.comparable, k=1))
    return (
        first,
        second,
        Pairs(
            whole.difference[first, second],
            whole.squares[first, second],
            whole.common[first, second],
        ),
    )


def surviving_seed_sd(
    difference: npt.ArrayLike, critical: npt.ArrayLike, image_variance: npt.ArrayLike
) -> Floats:
    """Return the SD over training seeds at which a claim about one seed's weights would fall.

    Two models with one seed each: the claim |D| > z sqrt(Vimg) becomes |D| > z sqrt(Vimg + 2 s^2)
    if seeds of either recipe scatter with SD s, so s = sqrt((D / z)^2 - Vimg) / sqrt 2.

    Args:
        difference: D.
        critical: z, the critical value that the claim exceeded; infinite where none was possible.
        image_variance: Vimg, the squared standard error of D over images.

    Returns:
        NaN where the claim does not stand with SD 0.
    """
    size, error = np.abs(np.asarray(difference, dtype=np.float64)), np.asarray(image_variance)
    with np.errstate(invalid="ignore"):
        result: Floats = np.sqrt(((size / critical) ** 2 - error) / 2)
    return result


def _blocks(count: int) -> list[tuple[slice, slice]]:
    starts = [slice(start, min(start + _BLOCK, count)) for start in range(0, count, _BLOCK)]
    return [(rows, columns) for rows in starts for columns in starts if rows.start <= columns.start]
