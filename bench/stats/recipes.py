"""Rank sets of recipes (architecture and training): images and training seeds as sources of error.

A recipe is known from S training seeds. The split-t method keeps both sources apart: images are
resampled, seeds get Student's t with S - 1 degrees of freedom, since a bootstrap over few seeds
knows nothing of their tails. Lower is better. M models, S seeds, n sample ids.

Sources: Student 1908; Romano and Wolf 2005 (stepdown); checked by simulation
(tests/benchmarks/rank_coverage.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.stats.bootstrap import LEVEL, Bools, Floats, Halved, resample_counts
from bench.stats.intervals import Z95, Interval
from bench.stats.pairs import Models, prepare, ratio
from bench.stats.ranks import Signs, rank_intervals
from bench.stats.simultaneous import MAX_DRAWN, comparable_pairs
from bench.stats.stepdown import Critical, Ints, bonferroni, stepdown, uniforms

FEWEST_SEEDS = 3
"""Training seeds below which a recipe has no rank and no interval."""


@dataclass(frozen=True)
class RecipeSignificance:
    """Which recipes are told apart, all pairs at once.

    Attributes:
        signs: (M, M): -1 where the row is significantly lower (better) than the column, 1 where
            it is higher, 0 where the two are not told apart.
        critical: kappa after the last step: a claim is |D| > kappa H; NaN without a pair.
        gap: the smallest gap that can be told: the difference that half of the pairs would need,
            the median of kappa H over pairs with all of them open; NaN without a pair.
    """

    signs: Signs
    critical: float
    gap: float

    @property
    def rank_sets(self) -> npt.NDArray[np.int64]:
        """(M, 2) lowest and highest rank of each model."""
        return rank_intervals(self.signs)


def recipe_rank_sets(
    values: npt.ArrayLike, kept: npt.ArrayLike, seed: int
) -> npt.NDArray[np.int64]:
    """Return the set of ranks of each recipe, all of them right together in 95 % of boards.

    Args:
        values: (M, S, n) one value a model, training seed and sample id, lower is better; a model
            with fewer seeds than S is padded with NaN, what is not kept may be NaN.
        kept: (M, S, n) bool.
        seed: seed of the draws (the protocol's), >= 0.

    Returns:
        (M, 2): 1 + number significantly better, M - number significantly worse.

    Raises:
        ValueError: other shapes, or a model with fewer than three seeds.
    """
    return recipe_significance(values, kept, seed).rank_sets


def recipe_significance(
    values: npt.ArrayLike, kept: npt.ArrayLike, seed: int
) -> RecipeSignificance:
    """Compare all pairs of recipes at once; arguments as :func:`recipe_rank_sets`.

    D is the difference of two models' means over their seeds, on the ids that all seeds of both
    keep; v a model's variance of the seed means over its number of seeds, on the same ids;
    H^2 = z^2 Vimg + q_A^2 v_A + q_B^2 v_B with z the max-|t| point over images and q the t
    quantile. Each draw takes one resample of images and one t deviate a model. With more than
    MAX_DRAWN models z is Bonferroni's and kappa 1, both wider: nothing is drawn.
    """
    recipes = _recipes(values, kept)
    models, count = recipes.models, len(recipes.seeds)
    first, second, pairs = comparable_pairs(models)
    signs = np.zeros((count, count), dtype=np.int8)
    if len(first) == 0:
        return RecipeSignificance(signs, float("nan"), float("nan"))
    counts = resample_counts(models.values.shape[1], seed).astype(np.float32)
    image_sd = np.sqrt(pairs.squares) / pairs.common

    def images(p: Ints) -> Halved:
        return models.drawn(first[p], second[p], counts)

    drawn = count <= MAX_DRAWN
    z = stepdown(np.zeros(len(first)), images).first if drawn else bonferroni(len(first))
    sd = recipes.deviations()
    a, b = sd[first, second], sd[second, first]
    q = seed_quantiles(recipes.seeds, 1 - LEVEL ** (1 / count))
    half = np.sqrt((z * image_sd) ** 2 + (q[first] * a) ** 2 + (q[second] * b) ** 2)
    # kappa = 1 is the closed form, a little wider than what is drawn
    t = _t_deviates(recipes.seeds, seed) if drawn else np.empty(0)

    def errors(p: Ints) -> Floats:
        i, j = first[p], second[p]
        error = image_sd[p, None] * models.drawn(i, j, counts)
        error += a[p, None] * t[i] - b[p, None] * t[j]
        return error / np.maximum(half[p, None], np.finfo(float).tiny)

    # what is within the images' own error is not told, however little the seeds scatter
    size = np.abs(pairs.difference)
    statistic = np.where(size > Z95 * image_sd, ratio(size, half), 0.0)
    kappa = stepdown(statistic, errors) if drawn else Critical(1.0, 1.0)
    claims = (np.sign(pairs.difference) * (statistic > kappa.last)).astype(np.int8)
    signs[first, second], signs[second, first] = claims, -claims
    return RecipeSignificance(signs, kappa.last, float(np.median(kappa.first * half)))


def recipe_mean(values: npt.ArrayLike, kept: npt.ArrayLike) -> Interval:
    """Return the mean of one recipe over seeds and images with its 95 % interval.

    The mean is over the ids that all its seeds keep, +- sqrt(1.96^2 Vimg + t^2 s^2 / S).

    Args:
        values: (S, n); seeds that are NaN throughout are padding.
        kept: (S, n) bool.

    Returns:
        No interval (NaN) with fewer than three seeds or two common ids; NaN without an id.
    """
    array, mask = np.asarray(values, dtype=np.float64), np.asarray(kept, dtype=bool)
    mask = mask & np.isfinite(array)
    present = mask.any(axis=1)
    common = mask[present].all(axis=0)
    if not present.any() or not common.any():
        return Interval(np.nan, np.nan, np.nan)
    return split_t(array[present][:, common])


def split_t(values: Floats, error: float = 1 - LEVEL) -> Interval:
    """Return the mean of (S, n) values with the interval that keeps seeds and images apart.

    Args:
        values: (S, n) finite; rows are seeds, columns ids.
        error: how often the interval may miss, .05 for one interval.

    Returns:
        No interval (NaN) with fewer than three seeds or two ids.
    """
    from scipy.special import ndtri

    seeds, n = values.shape
    mean = float(values.mean())
    if seeds < FEWEST_SEEDS or n < 2:
        return Interval(mean, np.nan, np.nan)
    by_id = values.mean(axis=0)
    z = Z95 if error == 1 - LEVEL else float(-ndtri(error / 2))
    image = z**2 * float(((by_id - mean) ** 2).sum()) / n**2
    q = float(seed_quantiles(np.array([seeds]), error)[0])
    half = (image + q**2 * float(values.mean(axis=1).var(ddof=1)) / seeds) ** 0.5
    return Interval(mean, mean - half, mean + half)


def seed_quantiles(seeds: Ints, error: float) -> Floats:
    """Return the two-sided t quantiles of S - 1 degrees of freedom at that error."""
    from scipy.special import stdtrit

    result: Floats = -stdtrit(seeds - 1.0, error / 2)
    return result


@dataclass(frozen=True)
class _Recipes:
    """Recipes that are ready to be compared.

    Attributes:
        models: means over the seeds, on the ids that all seeds of a model keep.
        values: (M, S, n) less what `models` subtracts an id; 0 where a seed is not there or an
            id is not kept by all.
        seeds: (M,) number of seeds.
        present: (M, S).
    """

    models: Models
    values: Floats
    seeds: Ints
    present: Bools

    def deviations(self) -> Floats:
        """Return (M, M) sqrt(v): row A's standard error over seeds on the ids of A and column B."""
        count, slots, n = self.values.shape
        kept = self.models.kept.astype(np.float64)
        common = np.maximum(kept @ kept.T, 1)[:, None, :]
        sums = (self.values.reshape(count * slots, n) @ kept.T).reshape(count, slots, count)
        means = np.where(self.present[..., None], sums / common, 0)
        seeds = self.seeds[:, None, None]
        apart = np.where(
            self.present[..., None], means - means.sum(axis=1, keepdims=True) / seeds, 0
        )
        variance = (apart**2).sum(axis=1) / (self.seeds - 1)[:, None]
        result: Floats = np.sqrt(variance / self.seeds[:, None])
        return result


def _recipes(values: npt.ArrayLike, kept: npt.ArrayLike) -> _Recipes:
    array, mask = np.asarray(values, dtype=np.float64), np.asarray(kept, dtype=bool)
    if array.ndim != 3 or mask.shape != array.shape:
        raise ValueError(
            f"expected values and kept of one shape (M, S, n), found {array.shape} and {mask.shape}"
        )
    mask = mask & np.isfinite(array)
    present: Bools = np.asarray(mask.any(axis=2))
    seeds = present.sum(axis=1)
    if (seeds < FEWEST_SEEDS).any():
        model = int(np.argmax(seeds < FEWEST_SEEDS))
        raise ValueError(
            f"expected {FEWEST_SEEDS} training seeds or more of each model, found {seeds[model]} "
            f"in model {model}; leave it out"
        )
    shared: Bools = np.asarray((mask | ~present[..., None]).all(axis=1))
    there = present[..., None] & shared[:, None]
    filled = np.where(there, array, 0.0)
    mean = filled.sum(axis=1) / np.maximum(seeds, 1)[:, None]
    models = prepare(mean, shared)
    centre = np.where(shared, mean - models.values, 0)
    return _Recipes(models, np.where(there, filled - centre[:, None], 0.0), seeds, present)


def _t_deviates(seeds: Ints, seed: int) -> Floats:
    """Return (M, B) draws from Student's t with S - 1 degrees of freedom, one row a model."""
    from scipy.special import stdtrit

    result: Floats = stdtrit(seeds[:, None] - 1.0, uniforms(seed, len(seeds)))
    return result
