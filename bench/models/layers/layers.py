"""The two layers that PyTorch lacks: circular convolution with any kernel, locally connected.

Both take and give (B, C, H, W) as any layer does, but lay it out in memory with the positions
first, as (H, W, B, C): then their work is batched matrix products, and two of them in a row move
no axis. `readout` reads that layout.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.models.layers import circular as frequency
from bench.models.layers.local_rows import locally_connected

DIRECT_ADVANTAGE = 2.0
"""A direct convolution does about this many times the operations a second of the other way."""


class CircularConv2d(nn.Module):
    """Convolution (cross-correlation) with circular padding; the output has the input's size.

    Equal to `nn.Conv2d(..., padding="same", padding_mode="circular")` with the same state dict.

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size: (kh, kw), each at most the image's height and width.
        image_size: (H, W).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, int],
        image_size: tuple[int, int],
    ) -> None:
        super().__init__()
        self.image_size = image_size
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, *kernel_size))
        self.bias = nn.Parameter(torch.empty(out_channels))
        self.direct = _direct_is_faster(self.weight.shape, image_size)
        self._frozen: dict[bool, tuple[Tensor, Tensor]] = {}

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, O, H, W)."""
        if self.direct:
            return F.conv2d(self.padded(x), self.weight, self.bias)
        spectrum = frequency.analyse(x.permute(2, 3, 0, 1))
        spectrum = self.spectral(spectrum, leave=True)
        return frequency.synthesise(spectrum, self.image_size).permute(2, 3, 0, 1)

    def spectral(self, spectrum: Tensor, *, leave: bool) -> Tensor:
        """Map a spectrum (F, B, 2, C) to (F, B, 2, O).

        Args:
            spectrum: see `bench.models.layers.circular`.
            leave: the result goes back to an image; False: it stays a spectrum.
        """
        return frequency.mix(spectrum, self._matrix(leave), self.bias, self.image_size)

    def _matrix(self, leave: bool) -> Tensor:
        """Return the weights' transform, kept from call to call while they are frozen."""
        if self.weight.requires_grad:
            self._frozen.clear()
            return frequency.kernel_matrix(self.weight, self.image_size, leave=leave)
        kept = self._frozen.get(leave)
        # compared by value: a version counter misses changes through `.data`
        if kept is not None and _same(kept[0], self.weight):
            return kept[1]
        with torch.inference_mode(False):  # what is kept must serve gradients too
            matrix = frequency.kernel_matrix(self.weight, self.image_size, leave=leave)
            self._frozen[leave] = (self.weight.detach().clone(), matrix)
        return matrix

    def padded(self, x: Tensor) -> Tensor:
        """Return x (B, C, H, W) within the border that a direct convolution reads."""
        kh, kw = self.weight.shape[-2:]
        top, left = (kh - 1) // 2, (kw - 1) // 2
        return F.pad(x, (left, kw - 1 - left, top, kh - 1 - top), mode="circular")


def _direct_is_faster(weight: torch.Size, image_size: tuple[int, int]) -> bool:
    """Compare the multiplications a pixel of both ways."""
    out_channels, in_channels, kh, kw = weight
    direct = kh * kw * in_channels * out_channels
    transforms = (in_channels + out_channels) * sum(image_size)
    return direct <= DIRECT_ADVANTAGE * (transforms + 2 * in_channels * out_channels)


def _same(a: Tensor, b: Tensor) -> bool:
    return a.device == b.device and a.dtype == b.dtype and torch.equal(a, b)


class LocallyConnected2d(nn.Module):
    """3x3 layer with zero padding 1 whose weights differ at every position; no bias.

    The weight is (H, 3, W, 3 * C, O): row of the output, row of the kernel, column of the output,
    (column of the kernel, input channel), output channel.

    Args:
        in_channels: C.
        out_channels: O.
        image_size: (H, W).
    """

    def __init__(self, in_channels: int, out_channels: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        self.image_size = image_size
        height, width = image_size
        self.weight = nn.Parameter(torch.empty(height, 3, width, 3 * in_channels, out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, O, H, W)."""
        return locally_connected(x, self.weight)


def lies_positions_first(x: Tensor) -> bool:
    """Return True for (B, C, H, W) that is laid out in memory as (H, W, B, C)."""
    return x.dim() == 4 and x.permute(2, 3, 0, 1).is_contiguous()


def positions_first(x: Tensor) -> Tensor:
    """Return (B, H W C) features of (B, C, H, W), fast where memory is (H, W, B, C)."""
    return x.permute(0, 2, 3, 1).reshape(len(x), -1)


def templates(weight: Tensor, channels: int) -> Tensor:
    """Return a read-out's weights (K, C H W) in the order of `positions_first`, (K, P, C)."""
    return weight.view(len(weight), channels, -1).mT.contiguous()


def spread(gradient: Tensor, by_position: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the gradient (B, C, H, W), in memory (H, W, B, C), of a read-out's input.

    Args:
        gradient: (B, K) of the logits.
        by_position: (K, P, C), see `templates`.
        size: (H, W).
    """
    positions = gradient.expand(by_position.shape[1], -1, -1)
    values = torch.bmm(positions, by_position.transpose(0, 1))  # (P, B, C)
    return values.view(*size, *values.shape[1:]).permute(2, 3, 0, 1)


class _Readout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        features, by_position = positions_first(x), templates(weight, x.shape[1])
        ctx.save_for_backward(features, by_position)
        ctx.size = x.shape[2:]
        return features @ by_position.flatten(1).t()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        features, by_position = ctx.saved_tensors
        grad_x = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_x = spread(gradient, by_position, ctx.size)
        if ctx.needs_input_grad[1]:
            grad_weight = (gradient.t() @ features).view(by_position.shape)
            grad_weight = grad_weight.mT.reshape(len(by_position), -1)
        return grad_x, grad_weight


class Readout(nn.Linear):
    """A linear layer on the flattened features, fast for the positions-first layout."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) or (B, C * H * W) to logits (B, K)."""
        if not lies_positions_first(x):
            return super().forward(x.flatten(1))
        logits: Tensor = _Readout.apply(x, self.weight)
        return logits + self.bias
