"""The loop of projected gradient descent, and its move in each norm.

Normalisation, projection and the order of clipping are those of foolbox 3.3.4, which is the
reference in the tests.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from bench.attacks.base import total
from bench.attacks.pgd import PGD
from bench.steps.step import GradientStep, cross_entropy_cotangent

TINY = 1e-12
"""Norms are at least this before they divide, as in foolbox."""

Move = Callable[[Tensor, Tensor], None]
"""Moves images (B, C, H, W) in place along gradients of the same shape, which it may overwrite: a
normalised step, then back into the ball around the clean images and into [0, 1]."""


def descend(
    settings: PGD, step: GradientStep, images: Tensor, labels: Tensor, boxed: bool = True
) -> Tensor:
    """Return the images after all steps; arguments as in `AttackSettings.run`.

    `boxed` says that images stay in [0, 1]; only L2 and L1 can do without.
    """
    dims = images[0].numel()
    budget, size = settings.budget(dims), settings.step(dims)
    if settings.norm == "linf":
        assert boxed, "the Linf ball and [0, 1] are one box"
        move = _box(images, budget, size)
    else:
        move = _ball(settings.norm, images, budget, size, boxed)
    x = images.clone()
    for _ in range(settings.steps):
        _, gradient = step(x, labels, cross_entropy_cotangent)
        move(x, gradient)
    return x


def _box(images: Tensor, budget: float, size: float) -> Move:
    """Steps along the sign of the gradient; the Linf ball and [0, 1] are one box."""
    low, high = (images - budget).clamp_min_(0), (images + budget).clamp_max_(1)

    def move(x: Tensor, gradient: Tensor) -> None:
        x.add_(gradient.sign_(), alpha=size)
        torch.clamp(x, low, high, out=x)

    return move


def _ball(norm: str, images: Tensor, budget: float, size: float, boxed: bool) -> Move:
    """Steps along the gradient over its norm, L2 or L1; perturbations too long are scaled down."""
    spare = torch.empty_like(images)

    def length(values: Tensor) -> Tensor:
        if norm == "l1":  # vector_norm of order 1 takes six times as long on a CPU
            found = total(torch.abs(values, out=spare).flatten(1))
        else:
            found = torch.linalg.vector_norm(values.flatten(1), 2, dim=1)
        return found.clamp_min_(TINY)[:, None, None, None]

    def move(x: Tensor, gradient: Tensor) -> None:
        x.addcmul_(gradient, size / length(gradient))
        delta = torch.sub(x, images, out=gradient)
        torch.addcmul(images, delta, (budget / length(delta)).clamp_max_(1), out=x)
        if boxed:
            x.clamp_(0, 1)

    return move
