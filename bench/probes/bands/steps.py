"""A model seen through a band: gradients within it, and images at their bounds if so wished."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.spectrum import passed
from bench.steps.step import Cotangent, GradientStep


class BandStep(GradientStep):
    """Runs another step; its gradients are projected onto a band.

    The nearest point of cutting planes is a combination of their normals. Where images have no
    bounds, a search that sees these gradients therefore never leaves the band.

    Args:
        inner: the model's own step.
        mask: (H, W) of 0 and 1, Hermitian; None: all frequencies.
        clip: the model sees images with values below 0 or above 1 moved there.
    """

    def __init__(self, inner: GradientStep, mask: Tensor | None, clip: bool = False) -> None:
        super().__init__(inner.model)
        self.inner, self.mask, self.clip = inner, mask, clip

    def __call__(
        self, images: Tensor, labels: Tensor, cotangent: Cotangent, *more: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return logits and gradients within the band."""
        logits, gradient = self.inner(self._seen(images), labels, cotangent, *more)
        return logits, self._within(gradient, images)

    def jacobian(self, images: Tensor, labels: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and gradients within the band."""
        logits, gradients = self.inner.jacobian(self._seen(images), labels, targets)
        return logits, self._within(gradients, images[:, None])

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """Return (B, classes) logits."""
        return self.inner.logits(self._seen(images))

    def at_most(self, size: int) -> None:
        """Put no more than this many images into a pass from now on, for memory ran out."""
        self.inner.at_most(size)

    def _seen(self, images: Tensor) -> Tensor:
        return images.clamp(0, 1) if self.clip else images

    def _within(self, gradient: Tensor, images: Tensor) -> Tensor:
        if self.clip:  # at a bound a pixel can still move inwards
            gradient = gradient * ((images >= 0) & (images <= 1))
        return gradient if self.mask is None else passed(gradient, self.mask)


def leak(delta: Tensor, mask: Tensor | None) -> Tensor:
    """Return the share of energy (B,) outside a band, float64; NaN for a zero perturbation.

    Args:
        delta: (B, C, H, W).
        mask: (H, W); None: all frequencies, nothing is outside.
    """
    wide = delta.double()
    total = wide.square().flatten(1).sum(1)
    outside = torch.zeros_like(wide) if mask is None else wide - passed(wide, mask)
    share = outside.square().flatten(1).sum(1) / total
    return torch.where(total > 0, share, torch.nan)
