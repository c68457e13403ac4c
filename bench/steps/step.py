"""One model step of an attack: logits and the gradient of a function of them by the images."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bench.errors import BenchError

Cotangent = Callable[..., Tensor]
"""(B, classes) logits, (B,) labels and what else belongs to each sample -> (B, classes) derivative
of each sample's function by its logits. Written out, because then one vector-Jacobian product
replaces autograd of a loss. It sees the images of one pass: a tensor (B, ...) that it needs besides
the labels is given to the step, which cuts it with the pass, and is never closed over."""


class GradientStep:
    """Runs a frozen model forward and backward on a batch.

    Args:
        model: images in [0, 1] -> (B, classes) logits; eval mode, parameters frozen.
        micro_batch: largest number of images in one pass; None: the whole batch at once.
        channels_last: give the model its images in channels_last memory format.
        equal_passes: fill the last pass up to `micro_batch` images, so that a sample's result does
            not depend on how many others there are (kernels round differently for other shapes).
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        micro_batch: int | None = None,
        channels_last: bool = False,
        equal_passes: bool = False,
    ) -> None:
        assert micro_batch or not equal_passes, "equal passes have a size"
        self.model = model
        self.micro_batch = micro_batch
        self.channels_last = channels_last
        self.equal_passes = equal_passes

    def __call__(
        self, images: Tensor, labels: Tensor, cotangent: Cotangent, *more: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return logits and input gradients.

        Args:
            images: (B, C, H, W) float in [0, 1], B > 0; not changed.
            labels: (B,) int64.
            cotangent: what to differentiate.
            more: (B, ...) each, what the cotangent takes besides logits and labels.

        Returns:
            (B, classes) logits and (B, C, H, W) contiguous gradients, both detached; the caller
            may write into them.
        """
        size, given = self.micro_batch or len(images), (labels, *more)
        if size >= len(images) and not self.equal_passes:
            logits, gradient = self._pass(images, cotangent, given)
            return logits, gradient.contiguous()
        gradients, parts = torch.empty_like(images), []
        for k in range(0, len(images), size):
            part = slice(k, k + size)
            some, count = images[part], len(images[part])
            cut = tuple(self._full(values[part]) for values in given)
            logits, gradient = self._pass(self._full(some), cotangent, cut)
            gradients[part] = gradient[:count]
            parts.append(logits[:count])
        return torch.cat(parts), gradients

    def _pass(
        self, images: Tensor, cotangent: Cotangent, given: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor]:
        leaf, logits = self._forward(images)
        values = logits.detach()
        (gradient,) = torch.autograd.grad(logits, leaf, cotangent(values, *given))
        return values, gradient

    def _forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the images as the graph's leaf, and the logits."""
        with torch.enable_grad():
            leaf = self._laid_out(images).requires_grad_()
            logits: Tensor = self.model(leaf)
        if not logits.requires_grad:
            raise BenchError(
                "expected logits that can be differentiated by the images, got logits without a "
                "gradient, from the model; gradient attacks need one, remove detach or no_grad"
            )
        return leaf, logits

    def jacobian(self, images: Tensor, labels: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and the gradients of several differences of logits at once.

        One pass forward, one backward for each target: about half of the cost of so many steps.

        Args:
            images: (B, C, H, W) float in [0, 1], B > 0; not changed.
            labels: (B,) int64.
            targets: (B, T) int64, classes other than the label.

        Returns:
            (B, classes) logits and (B, T, C, H, W) gradients of (target's logit - label's logit).
        """
        size = self.micro_batch or len(images)
        logits, gradients = [], images.new_empty(*targets.shape, *images.shape[1:])
        for k in range(0, len(images), size):
            part = slice(k, k + size)
            some, own, others = (self._full(v[part]) for v in (images, labels, targets))
            count = len(images[part])
            leaf, values = self._forward(some)
            for t, target in enumerate(others.T):
                cotangent = -difference_cotangent(values.detach(), own, target)
                last = t == targets.shape[1] - 1
                (gradient,) = torch.autograd.grad(values, leaf, cotangent, retain_graph=not last)
                gradients[part, t] = gradient[:count]
            logits.append(values.detach()[:count])
        return torch.cat(logits), gradients

    def at_most(self, size: int) -> None:
        """Put no more than this many images into a pass from now on, for memory ran out."""
        if self.micro_batch is not None:
            self.micro_batch = min(self.micro_batch, size)

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """Return (B, classes) logits of (B, C, H, W) images in [0, 1]."""
        size = self.micro_batch or max(len(images), 1)
        parts = [
            self.model(self._laid_out(self._full(images[k : k + size])))
            for k in _starts(images, size)
        ]
        return torch.cat(parts)[: len(images)] if len(parts) > 1 else parts[0][: len(images)]

    def _full(self, part: Tensor) -> Tensor:
        """Repeat the last row of a part (n, ...) until the pass is full, if passes are equal."""
        missing = (self.micro_batch or 0) - len(part) if self.equal_passes else 0
        if missing <= 0 or len(part) == 0:
            return part
        return torch.cat((part, part[-1:].expand(missing, *part.shape[1:])))

    def _laid_out(self, images: Tensor) -> Tensor:
        if self.channels_last:
            return images.detach().contiguous(memory_format=torch.channels_last)
        return images.detach()


def _starts(images: Tensor, size: int) -> range:
    return range(0, max(len(images), 1), size)


def cross_entropy_cotangent(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the derivative of each sample's cross-entropy by its logits.

    exp(log_softmax) and not softmax: the same rounding as PyTorch's own backward pass, which
    decides the sign of the gradient where a model is sure of its answer.
    """
    result = logits.log_softmax(1).exp_()
    return result.scatter_add_(1, labels[:, None], torch.full_like(result[:, :1], -1.0))


def margin_cotangent(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the derivative of (the label's logit - the largest other logit) by the logits."""
    others = logits.scatter(1, labels[:, None], -torch.inf)
    result = torch.zeros_like(logits).scatter_(1, labels[:, None], 1.0)
    return result.scatter_add_(
        1, others.argmax(1, keepdim=True), torch.full_like(result[:, :1], -1.0)
    )


def difference_cotangent(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Return the derivative of (the label's logit - the target's logit) by the logits.

    Args:
        logits: (B, classes).
        labels: (B,) int64.
        targets: (B,) int64, another class for each sample.
    """
    result = torch.zeros_like(logits).scatter_(1, labels[:, None], 1.0)
    return result.scatter_(1, targets[:, None], -1.0)
