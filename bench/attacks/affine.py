"""The exact minimal perturbation of an affine model in the box, in float64: a witness.

For logits W x + b and a class j, the nearest image that j and the label tie on solves a convex
problem with one constraint. Its KKT conditions leave one unknown t >= 0:

    L2:    delta = clip(x + t v, 0, 1) - x          with v = w_j - w_label
    Linf:  delta = clip(x + t sign(v), 0, 1) - x

and what delta gains, sum |v_i| min(t u_i, room_i) with u = |v| or 1, is increasing and piecewise
linear in t: the breakpoints are sorted and the segment is found exactly. The minimum over j is
the minimal perturbation, for an image fooled as j is beyond the tie with j. A model that is not
affine is refused; the code shares nothing with the attack that it is a witness of.
"""

from __future__ import annotations

import copy

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bench.errors import BenchError

Floats = npt.NDArray[np.float64]

AFFINE = 1e-4
"""Largest difference between the model's logits and W x + b, as a share of the largest logit."""
BEYOND = 1e-7
"""How far behind the tie to end, as a share of what is missing; settling does the rest."""


def exact(model: nn.Module, images: Tensor, labels: Tensor, norm: str) -> Tensor:
    """Return the nearest images beyond the boundary, (B, C, H, W) float32.

    Args:
        model: images in [0, 1] -> (B, classes) logits, affine.
        images: (B, C, H, W) float32 in [0, 1].
        labels: (B,) int64, the classes of the images.
        norm: "l2" or "linf".

    Raises:
        BenchError: the model is not affine.
    """
    weights, bias = affine_map(model, images)
    x = images.flatten(1).double().cpu().numpy()
    own = labels.cpu().numpy()
    best = np.full(len(x), np.inf)
    nearest = np.full_like(x, np.nan)
    for j in range(len(weights)):
        v = weights[j] - weights[own]
        missing = -(np.einsum("bd,bd->b", v, x) + bias[j] - bias[own])
        delta = tie(x, v, missing * (1 + BEYOND), norm)
        size = np.abs(delta).max(1) if norm == "linf" else np.linalg.norm(delta, axis=1)
        better = (own != j) & (size < best)
        best[better], nearest[better] = size[better], (x + delta)[better]
    return torch.from_numpy(nearest).to(images).view_as(images)


def tie(x: Floats, v: Floats, missing: Floats, norm: str) -> Floats:
    """Return the smallest delta with v . delta = missing and x + delta in [0, 1].

    Args:
        x: (B, D) in [0, 1].
        v: (B, D).
        missing: (B,) >= 0.
        norm: "l2" or "linf".

    Returns:
        (B, D), NaN where no image in [0, 1] gains so much.
    """
    size = np.abs(v)
    room = np.where(v > 0, 1 - x, x)
    speed = size if norm == "l2" else np.ones_like(size)
    with np.errstate(divide="ignore", invalid="ignore"):
        stop = np.where(size > 0, room / speed, 0.0)
        order = np.argsort(stop, axis=1)
        stops = np.take_along_axis(stop, order, axis=1)
        slope = np.take_along_axis(size * speed, order, axis=1)
        full = np.take_along_axis(size * room, order, axis=1)
        # gain at each breakpoint: what has stopped by then, and what still moves
        stopped = np.cumsum(full, axis=1)
        moving = slope.sum(1, keepdims=True) - np.cumsum(slope, axis=1)
        gain = stopped + moving * stops
        place = (gain < missing[:, None]).sum(1)
        rows, last = np.arange(len(x)), x.shape[1] - 1
        reached = place <= last
        place = np.minimum(place, last)
        before = np.where(place > 0, stopped[rows, place - 1], 0.0)
        free = moving[rows, place] + slope[rows, place]
        t = np.where(missing <= 0, 0.0, (missing - before) / free)
        delta: Floats = np.sign(v) * np.minimum(t[:, None] * speed, room)
    delta[~reached] = np.nan
    return delta


def affine_map(model: nn.Module, images: Tensor) -> tuple[Floats, Floats]:
    """Return weights (classes, D) and bias (classes,) of an affine model.

    Raises:
        BenchError: its logits on the images are not those of the map.
    """
    with torch.no_grad():
        given = model(images).double().cpu().numpy()
    wide = copy.deepcopy(model).double()
    origin = torch.zeros_like(images[:1], dtype=torch.float64).requires_grad_()
    logits = wide(origin)[0]
    rows = [torch.autograd.grad(logit, origin, retain_graph=True)[0] for logit in logits]
    weights = torch.stack(rows).flatten(1).cpu().numpy()
    bias = logits.detach().cpu().numpy()
    predicted = images.flatten(1).double().cpu().numpy() @ weights.T + bias
    off = np.abs(predicted - given).max() / np.abs(given).max()
    if not off <= AFFINE:
        raise BenchError(
            f"expected an affine model for an exact minimum, found logits that differ from an "
            f"affine map's by {off:.2g} of the largest; leave the attack out"
        )
    return weights, bias
