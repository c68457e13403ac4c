"""Start points in the classes that are nearest by the model's slope at the clean image.

A minimal attack walks along one boundary to a local minimum and may end in the wrong neighbour
class. Starting it again beyond the boundaries that are nearest to first order (as DeepFool does,
Moosavi-Dezfooli et al. 2016, https://arxiv.org/abs/1511.04599) finds the others; for a linear model
the first order is all there is.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from bench.attacks.base import logit_margin
from bench.attacks.brendel_bethge.trust_region import Problem, column
from bench.steps.step import GradientStep, difference_cotangent

CANDIDATES = 10
"""Classes whose distance is estimated: those with the largest logits."""
FACTORS = (1.01, 1.1, 1.3, 1.7, 2.5, 4.0, 8.0)
"""How far to go along the way to a plane until the class changes, in units of the way."""

Solve = Callable[[Problem], tuple[Tensor, Tensor]]


def nearest_starts(
    step: GradientStep, images: Tensor, labels: Tensor, count: int, solve: Solve
) -> list[tuple[Tensor, Tensor]]:
    """Return start points beyond the boundaries that are nearest to first order.

    Args:
        step: the model.
        images: (B, C, H, W) clean images.
        labels: (B,) int64.
        count: how many start points each sample gets, at most classes - 1.
        solve: the trust-region solver of the attack's norm.

    Returns:
        `count` pairs, nearest first: start images (B, C, H, W), and (B,) bool, whether the model
        gives them another class than the label; where it does not they are no start points.
    """
    logits = step.logits(images)
    others = logits.scatter(1, labels[:, None], -torch.inf)
    classes = others.topk(min(CANDIDATES, logits.shape[1] - 1), dim=1).indices
    ways, distances = [], []
    for target in classes.T:
        way, distance = _way(step, images, labels, target, solve)
        ways.append(way)
        distances.append(distance)
    order = torch.stack(distances).nan_to_num(torch.inf).argsort(dim=0, stable=True)
    every = torch.stack(ways)
    rows = torch.arange(len(images), device=images.device)
    return [_beyond(step, images, labels, every[k, rows]) for k in order[:count]]


def _way(
    step: GradientStep, images: Tensor, labels: Tensor, target: Tensor, solve: Solve
) -> tuple[Tensor, Tensor]:
    """Return the shortest way (B, D) to the plane where target and label tie, and its norm."""
    logits, gradient = step(images, labels, difference_cotangent, target)
    behind = (logits.gather(1, target[:, None]) - logits.gather(1, labels[:, None]))[:, 0]
    normal, x0 = gradient.flatten(1), images.flatten(1)
    tiny = torch.finfo(normal.dtype).tiny
    length = torch.linalg.vector_norm(normal, dim=1).clamp_min(tiny)
    far = torch.full_like(behind, float(x0.shape[1]))
    z, distance = solve(Problem(x0, x0, normal / column(length), behind / length, far))
    return z - x0, distance


def _beyond(
    step: GradientStep, images: Tensor, labels: Tensor, way: Tensor
) -> tuple[Tensor, Tensor]:
    """Go on along the way until the class changes."""
    found, fooled = images.clone(), torch.zeros_like(labels, dtype=torch.bool)
    way = way.view_as(images)
    for factor in FACTORS:
        there = torch.clamp(images + factor * way, 0, 1)
        new = (logit_margin(step.logits(there), labels) > 0) & ~fooled
        found[new] = there[new]
        fooled |= new
        if bool(fooled.all()):
            break
    return found, fooled
