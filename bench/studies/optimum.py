"""The best classifier of planted images, its minimal perturbations, their spectrum: closed form.

For classes N(half + m_k, S) with equal priors the best logits are w_k . x + b_k, w_k = S^-1 m_k.
The shortest way from an image to the tie with class j is along v = w_j - w_y: margin / |v|^2 times
v without the box; clip(x + t v, 0, 1) - x with it, t such that the tie is met (KKT; found here by
bisection, so that nothing is shared with what it is a check of). numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.grid import frequency_grid, power_without_dc
from bench.studies.planted import Planted

Floats = npt.NDArray[np.float64]

BISECTIONS = 200


@dataclass(frozen=True)
class Linear:
    """Logits `weights @ x + bias` of flat images.

    Attributes:
        weights: (K, D).
        bias: (K,).
    """

    weights: Floats
    bias: Floats


def best(data: Planted) -> Linear:
    """Return the Bayes-optimal classifier of the law before values are cut at [0, 1]."""
    inverse = 1 / np.sqrt(data.power)
    weights = data.filtered(data.whitened, inverse).reshape(len(data.whitened), -1)
    means = 0.5 + data.templates.reshape(len(weights), -1)
    half_way = (means + 0.5) / 2
    return Linear(weights, -np.einsum("kd,kd->k", weights, half_way))


def minima(net: Linear, images: npt.ArrayLike, *, box: bool) -> Floats:
    """Return the shortest perturbation of each image to a tie with another class.

    Args:
        net: whose own class each image leaves.
        images: (N, ...) in [0, 1].
        box: perturbed images stay in [0, 1].

    Returns:
        (N, D); NaN where no other class can be reached.
    """
    x = np.asarray(images, dtype=np.float64).reshape(len(np.asarray(images)), -1)
    logits = x @ net.weights.T + net.bias
    own = logits.argmax(axis=1)
    nearest = np.full_like(x, np.nan)
    shortest = np.full(len(x), np.inf)
    for j in range(len(net.weights)):
        v = net.weights[j] - net.weights[own]
        missing = logits[np.arange(len(x)), own] - logits[:, j]
        delta = _in_box(x, v, missing) if box else _free(v, missing)
        size = np.sqrt((delta**2).sum(axis=1))
        better = (own != j) & (size < shortest)
        shortest[better], nearest[better] = size[better], delta[better]
    return nearest


def _free(v: Floats, missing: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        result: Floats = v * (missing / (v**2).sum(axis=1))[:, None]
    return result


def _in_box(x: Floats, v: Floats, missing: Floats) -> Floats:
    """Bisect t in clip(x + t v, 0, 1) - x until its gain along v is what is missing."""
    size = np.abs(v)
    gain_of_all = (size * np.where(v > 0, 1 - x, x)).sum(axis=1)
    low = np.zeros(len(x))
    high = np.full(len(x), 1 / np.maximum(size[size > 0].min(initial=np.inf), 1e-12))
    for _ in range(BISECTIONS):
        t = (low + high) / 2
        gain = ((np.clip(x + t[:, None] * v, 0, 1) - x) * v).sum(axis=1)
        short = gain < missing
        low, high = np.where(short, t, low), np.where(short, high, t)
    delta: Floats = np.clip(x + high[:, None] * v, 0, 1) - x
    delta[gain_of_all < missing] = np.nan
    return delta


def rfc(deltas: npt.ArrayLike, shape: tuple[int, int, int]) -> Floats:
    """Return the radial frequency centroid of perturbations (N, D) of images (C, H, W): (N,)."""
    power = power_without_dc(np.asarray(deltas).reshape(-1, *shape))
    with np.errstate(invalid="ignore", divide="ignore"):
        centroid = power @ frequency_grid(*shape[1:]).radius / power.sum(axis=1)
    result: Floats = centroid
    return result
