"""Projected gradient descent: fixed steps along the loss gradient inside a norm ball.

Source: Madry et al. 2018, https://arxiv.org/abs/1706.06083. Normalisation, projection and the order
of clipping are those of foolbox 3.3.4, which is the reference in the tests.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import final

import torch
from torch import Tensor

from bench.attacks.base import Attack, total
from bench.steps.step import GradientStep, cross_entropy_cotangent

TINY = 1e-12
"""Norms are at least this before they divide, as in foolbox."""

Move = Callable[[Tensor, Tensor], None]
"""Moves images (B, C, H, W) in place along gradients of the same shape, which it may overwrite."""


class PGD(Attack):
    """The descent loop; a subclass knows how to move in its norm."""

    @final
    def run(
        self, step: GradientStep, images: Tensor, labels: Tensor, starts: Tensor | None
    ) -> Tensor:
        spec = self.spec
        budget, size = spec.budget(images[0].numel()), spec.step(images[0].numel())
        assert budget is not None, "the entry validates pgd's keys"
        assert size is not None, "the entry validates pgd's keys"
        move = self.move(images, budget, size)
        x = images.clone()
        for _ in range(spec.steps):
            _, gradient = step(x, labels, cross_entropy_cotangent)
            move(x, gradient)
        return x

    @abstractmethod
    def move(self, images: Tensor, budget: float, size: float) -> Move:
        """Return the move of one iteration: a normalised step, back into the ball and [0, 1].

        Args:
            images: (B, C, H, W) clean images, the centres of the balls.
            budget: radius of the balls.
            size: length of a step in the same norm.
        """


class LinfPGD(PGD):
    """Steps along the sign of the gradient; the ball and [0, 1] are one box."""

    def move(self, images: Tensor, budget: float, size: float) -> Move:
        low, high = (images - budget).clamp_min_(0), (images + budget).clamp_max_(1)

        def move(x: Tensor, gradient: Tensor) -> None:
            x.add_(gradient.sign_(), alpha=size)
            torch.clamp(x, low, high, out=x)

        return move


class LpPGD(PGD):
    """Steps along the gradient over its norm, L2 or L1; perturbations too long are scaled down."""

    def move(self, images: Tensor, budget: float, size: float) -> Move:
        spare = torch.empty_like(images)

        def length(values: Tensor) -> Tensor:
            if self.spec.norm == "l1":  # vector_norm of order 1 takes six times as long on a CPU
                norm = total(torch.abs(values, out=spare).flatten(1))
            else:
                norm = torch.linalg.vector_norm(values.flatten(1), 2, dim=1)
            return norm.clamp_min_(TINY)[:, None, None, None]

        def move(x: Tensor, gradient: Tensor) -> None:
            x.addcmul_(gradient, size / length(gradient))
            delta = torch.sub(x, images, out=gradient)
            torch.addcmul(images, delta, (budget / length(delta)).clamp_max_(1), out=x)
            x.clamp_(0, 1)

        return move
