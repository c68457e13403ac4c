"""One call of a model on probe images, forward and backward, and how two calls differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Look = Callable[[object], None]
"""Looks at what a model returned before anything is done with it; raises BenchError."""


@dataclass(frozen=True)
class Called:
    """What one call gave, as it came: (B, classes) logits; (B, C, H, W) gradients or None."""

    logits: Tensor
    gradient: Tensor | None

    def __getitem__(self, some: slice) -> Called:
        """Return some of the images."""
        return Called(self.logits[some], None if self.gradient is None else self.gradient[some])

    def equals(self, other: Called) -> bool:
        """Whether both are the same to the bit, as far as both have gradients."""
        if self.gradient is None or other.gradient is None:
            return same(self.logits, other.logits)
        return same(self.logits, other.logits) and same(self.gradient, other.gradient)

    def difference(self, other: Called) -> tuple[float, float]:
        """Return the largest differences: of logits over their spread, of gradients over norms.

        Gradients that one call lacks are left out; not finite on one side only is infinite.
        """
        one, two = self.logits.double(), other.logits.double()
        logits = float(((one - two).abs().amax(1) / self._spread()).max())
        if self.gradient is None or other.gradient is None:
            return logits, 0.0
        a, b = self.gradient.double().flatten(1), other.gradient.double().flatten(1)
        if bool((a.isfinite() != b.isfinite()).any()):
            return logits, float("inf")
        a, b = (g.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0) for g in (a, b))
        norm = torch.maximum(a.norm(dim=1), b.norm(dim=1)).clamp_min(1e-30)
        return logits, float(((a - b).norm(dim=1) / norm).max())

    @property
    def resolution(self) -> float:
        """What float32 can't tell apart in these logits, over their spread."""
        eps = torch.finfo(torch.float32).eps
        return float((16 * eps * self.logits.double().abs().amax(1) / self._spread()).max())

    @property
    def in_float64(self) -> bool:
        """Whether the model really computed in float64, and not in float32 inside."""
        logits = self.logits
        wide = logits.dtype == torch.float64 and not torch.equal(logits.float().double(), logits)
        return wide or not bool(logits.any())

    def _spread(self) -> Tensor:
        logits = self.logits.double()
        return (logits.amax(1) - logits.amin(1)).clamp_min(1e-30)


def call(module: nn.Module, images: Tensor, gradients: bool, look: Look | None = None) -> Called:
    """Run a model forward and, if asked for, backward.

    Args:
        module: images -> logits.
        images: (B, C, H, W); not changed.
        gradients: with them, of a fixed weighted sum of each image's logits.
        look: looks at the logits first.
    """
    with torch.set_grad_enabled(gradients):
        leaf = images.clone().requires_grad_(gradients)
        logits = module(leaf)
        if look is not None:
            look(logits)
        if not gradients:
            return Called(logits.detach(), None)
        weights = torch.linspace(1, -1, logits.shape[1], dtype=logits.dtype, device=logits.device)
        (gradient,) = torch.autograd.grad((logits * weights).sum(), leaf)
    return Called(logits.detach(), gradient)


def call_singly(
    module: nn.Module, images: Tensor, gradients: bool, look: Look | None = None
) -> Called:
    """Run a model as `call` does, one image at a time."""
    parts = [call(module, images[k : k + 1], gradients, look) for k in range(len(images))]
    found = [part.gradient for part in parts if part.gradient is not None]
    return Called(torch.cat([part.logits for part in parts]), torch.cat(found) if found else None)


def call_doubled(
    module: nn.Module, images: Tensor, gradients: bool, look: Look | None = None
) -> Called:
    """Run a model as `call` does, each image with nothing but itself in its batch, twice."""
    parts = [
        call(module, images[k : k + 1].repeat(2, 1, 1, 1), gradients, look)[:1]
        for k in range(len(images))
    ]
    found = [part.gradient for part in parts if part.gradient is not None]
    return Called(torch.cat([part.logits for part in parts]), torch.cat(found) if found else None)


def same(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are equal, NaN counting as itself."""
    return a.shape == b.shape and bool(((a == b) | ((a != a) & (b != b))).all())
