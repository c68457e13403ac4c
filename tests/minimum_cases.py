"""Exact minima by other means, for tests of the search for minimal perturbations."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bench.attacks.base import norms
from bench.attacks.minimum.minimise import minimise
from bench.attacks.minimum.options import Options
from bench.attacks.minimum.stages import Found
from bench.steps.step import GradientStep

Array = npt.NDArray[np.float64]


def boxed_minimum(image: Array, weight: Array, bias: Array, label: int, norm: str) -> float:
    """Return the distance to the nearest boundary of a linear model within [0, 1], float64.

    KKT: clip(x + t v, 0, 1) with v = w_j - w_y (L2) or its sign (Linf). The margin is piecewise
    linear in t, with breaks where a pixel meets the box: sort them and find the piece of the root.

    Args:
        image: (D,); weight: (classes, D); bias: (classes,); label: the true class.
        norm: "l2" or "linf".
    """
    best = np.inf
    for other in range(len(bias)):
        if other == label:
            continue
        normal = weight[other] - weight[label]
        missing = -(normal @ image + bias[other] - bias[label])
        speed = np.abs(normal) if norm == "l2" else np.sign(np.abs(normal))
        room = np.where(normal > 0, 1 - image, image)
        moves = speed > 0
        speed, room, gain = speed[moves], room[moves], np.abs(normal)[moves]
        end = room / speed
        order = np.argsort(end)
        # between two breaks, the pixels before are at the box and the rest move with t
        full = np.concatenate([[0], np.cumsum((gain * room)[order])])
        rate = (gain * speed).sum() - np.concatenate([[0], np.cumsum((gain * speed)[order])])
        at_break = full[1:] + rate[1:] * end[order]
        piece = int(np.searchsorted(at_break, missing))
        if piece == len(at_break):
            continue
        t = (missing - full[piece]) / rate[piece]
        delta = np.minimum(t * speed, room)
        best = min(best, float(np.linalg.norm(delta) if norm == "l2" else delta.max()))
    return best


def boxed_minima(images: Tensor, weight: Tensor, bias: Tensor, labels: Tensor, norm: str) -> Tensor:
    """Return `boxed_minimum` of a batch, (B,) float64."""
    w, b = weight.double().numpy(), bias.double().numpy()
    flat = images.flatten(1).double().numpy()
    found = [
        boxed_minimum(x, w, b, int(y), norm) for x, y in zip(flat, labels.tolist(), strict=True)
    ]
    return torch.tensor(found, dtype=torch.float64)


def run(model: nn.Module, images: Tensor, labels: Tensor, norm: str, **changes: object) -> Found:
    """Run the search with the plain step."""
    return minimise(
        GradientStep(model),
        images,
        labels,
        norm,
        options=Options(**changes),  # type: ignore[arg-type]
    )


def distances(found: Found, images: Tensor, norm: str) -> Tensor:
    """Return (B,) float64."""
    return norms(found.adversarial - images, norm)
