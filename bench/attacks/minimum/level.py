"""A model step whose logits have their largest at 0 and an ordinary size.

What is added to all logits, or multiplies them, changes no decision and must change no result. The
factor is a power of two, so multiplying by it rounds nothing; subtracting the largest logit is as
exact as the differences that attacks take anyway.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.steps.step import Cotangent, GradientStep


class LevelStep(GradientStep):
    """Runs another step and levels what it gives.

    Args:
        inner: the model's own step.
        logits: (B, classes) of some images, to read the size from.
    """

    def __init__(self, inner: GradientStep, logits: Tensor) -> None:
        super().__init__(inner.model)
        self.inner = inner
        size = spread(logits)
        size = size[size.isfinite() & (size > 0)]
        exponent = size.double().log2().median().round().clamp(-120, 120) if len(size) else 0.0
        self.scale = 2.0 ** -float(exponent)

    def __call__(
        self, images: Tensor, labels: Tensor, cotangent: Cotangent, *more: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return logits and gradients as the inner step does, levelled."""
        logits, gradient = self.inner(images, labels, cotangent, *more)
        return self.level(logits), gradient.mul_(self.scale)

    def jacobian(self, images: Tensor, labels: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and gradients as the inner step does, levelled."""
        logits, gradients = self.inner.jacobian(images, labels, targets)
        return self.level(logits), gradients.mul_(self.scale)

    def logits(self, images: Tensor) -> Tensor:
        """Return (B, classes) levelled logits of (B, C, H, W) images in [0, 1]."""
        return self.level(self.inner.logits(images))

    def level(self, logits: Tensor) -> Tensor:
        """Return (B, classes) logits with the largest at 0 and an ordinary size."""
        levelled: Tensor = (logits - logits.amax(1, keepdim=True)) * self.scale
        return levelled

    def at_most(self, size: int) -> None:
        """Put no more than this many images into a pass from now on, for memory ran out."""
        self.inner.at_most(size)


def spread(logits: Tensor) -> Tensor:
    """Return the largest minus the smallest logit of each sample, (B,)."""
    return logits.amax(1) - logits.amin(1)


def resolution(logits: Tensor) -> Tensor:
    """Return the smallest difference (B,) between logits of this size that the float can tell."""
    return logits.abs().amax(1) * torch.finfo(logits.dtype).eps
