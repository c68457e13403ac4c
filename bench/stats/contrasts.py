"""Contrasts between recipes: local minus full, ReLU minus linear, deep minus shallow, with seeds.

A contrast is a weighted sum of models. Seeds are paired by number, fixed beforehand: seed s of
every model makes one value of the contrast. M models, S seeds, C checkpoints, n sample ids.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bench.stats.bootstrap import LEVEL, Bools, Floats
from bench.stats.intervals import Interval
from bench.stats.recipes import split_t


class Contrast(NamedTuple):
    """A weighted sum of models over their common seeds.

    Attributes:
        interval: its mean over seeds and images; no interval (NaN) with fewer than three seeds.
        seeds: number of seeds that all its models have.
        ids: number of sample ids that all its models keep under all these seeds.
    """

    interval: Interval
    seeds: int
    ids: int


def contrast(
    values: npt.ArrayLike, kept: npt.ArrayLike, weights: npt.ArrayLike, family: int = 1
) -> Contrast:
    """Return a contrast with +- sqrt(z^2 Vimg + t^2 var(d) / S) around its mean.

    d is the contrast of one seed, Vimg the variance of its mean over images, t of S - 1 degrees of
    freedom; both quantiles at the error 1 - .95^(1 / family).

    Args:
        values: (M, S, n) one value a model, seed number and sample id; NaN where a seed is not
            there or an id not kept.
        kept: (M, S, n) bool.
        weights: (M,) such as 1 and -1 for two models; a model with weight 0 takes no part.
        family: how many contrasts are read together, at least 1.

    Raises:
        ValueError: other shapes, no weight, or family < 1.
    """
    array, mask = np.asarray(values, dtype=np.float64), np.asarray(kept, dtype=bool)
    w = np.asarray(weights, dtype=np.float64)
    if array.ndim != 3 or mask.shape != array.shape or w.shape != array.shape[:1]:
        raise ValueError(
            "expected values and kept (M, S, n) and weights (M,), found "
            f"{array.shape}, {mask.shape} and {w.shape}"
        )
    if not w.any() or family < 1:
        raise ValueError(f"expected a weight and family >= 1, found {w.tolist()} and {family}")
    array, mask, w = array[w != 0], mask[w != 0], w[w != 0]
    mask = mask & np.isfinite(array)
    seeds = mask.any(axis=2).all(axis=0)
    ids = mask[:, seeds].all(axis=(0, 1))
    if not seeds.any() or not ids.any():
        return Contrast(Interval(np.nan, np.nan, np.nan), int(seeds.sum()), 0)
    # (S, n): the contrast of each seed and image
    each = np.einsum("m,msn->sn", w, array[:, seeds][:, :, ids])
    interval = split_t(each, sidak(family))
    return Contrast(interval, int(seeds.sum()), int(ids.sum()))


def sidak(family: int) -> float:
    """Return the error of each of `family` intervals that miss together in 5 % of cases."""
    return 1 - LEVEL if family == 1 else 1 - LEVEL ** (1 / family)


def factorial_weights(
    levels: Sequence[Mapping[str, str]], factor: str, plus: str, minus: str
) -> Floats:
    """Return the weights of plus minus minus, averaged over what the other factors say.

    Models are matched in all other factors; a model without its match gets weight 0, so that the
    contrast stays clean: ReLU minus linear compares each family with itself.

    Args:
        levels: a model's level of each factor, such as {"family": "local-conv", "type": "relu"};
            factors in which models shall not be matched are left out.
        factor: the one that the contrast is about.
        plus, minus: two of its levels.

    Returns:
        (M,) weights whose positive and negative parts sum to 1 and -1; all 0 without a match.

    Raises:
        ValueError: two models have the same levels.
    """
    cells: dict[frozenset[tuple[str, str]], dict[str, int]] = {}
    for number, model in enumerate(levels):
        others = frozenset((name, level) for name, level in model.items() if name != factor)
        cell = cells.setdefault(others, {})
        level = model[factor]
        if level in cell:
            raise ValueError(f"expected one model of each combination, found two of {dict(model)}")
        cell[level] = number
    matched = [cell for cell in cells.values() if plus in cell and minus in cell]
    weights = np.zeros(len(levels))
    for cell in matched:
        weights[cell[plus]] += 1 / len(matched)
        weights[cell[minus]] -= 1 / len(matched)
    return weights


def at_loss(
    losses: npt.ArrayLike, values: npt.ArrayLike, kept: npt.ArrayLike, target: float
) -> tuple[Floats, Bools]:
    """Return one model's values at a training loss, interpolated within each seed.

    Between the last checkpoint above the target and the first at or below it, linear in the loss.

    Args:
        losses: (S, C) training loss at each checkpoint, in the order of training; NaN where there
            is no checkpoint.
        values: (S, C, n) at each checkpoint.
        kept: (S, C, n) bool.
        target: the loss to compare at.

    Returns:
        (S, n) values, NaN where not kept, and (S, n) kept: at both checkpoints. A seed whose
        losses do not reach the target from above is not kept: nothing is extrapolated.

    Raises:
        ValueError: shapes that do not fit.
    """
    loss, array = np.asarray(losses, dtype=np.float64), np.asarray(values, dtype=np.float64)
    mask = np.asarray(kept, dtype=bool)
    if array.ndim != 3 or loss.shape != array.shape[:2] or mask.shape != array.shape:
        raise ValueError(
            "expected losses (S, C), values and kept (S, C, n), found "
            f"{loss.shape}, {array.shape} and {mask.shape}"
        )
    mask = mask & np.isfinite(array)
    found = np.full((len(array), array.shape[2]), np.nan)
    for seed, row in enumerate(loss):
        # the weights of the two checkpoints, or of the one that meets the target
        shares = _shares(row, target)
        if shares:
            usable = mask[seed, list(shares)].all(axis=0)
            weights = np.array(list(shares.values()))
            found[seed, usable] = weights @ array[seed][list(shares)][:, usable]
    return found, ~np.isnan(found)


def _shares(losses: Floats, target: float) -> dict[int, float]:
    """Return which checkpoints make the value at a loss, and how much of it; none out of reach."""
    there = np.flatnonzero(~np.isnan(losses))
    below = np.flatnonzero(losses[there] <= target)
    if len(below) == 0:
        return {}
    b = int(there[below[0]])
    if losses[b] == target:
        return {b: 1.0}
    if below[0] == 0:
        return {}
    a = int(there[below[0] - 1])
    share = float((losses[a] - target) / (losses[a] - losses[b]))
    return {a: 1 - share, b: share}
