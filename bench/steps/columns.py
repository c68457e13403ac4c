"""Convolutions of few input channels, whose gradient is a matrix product.

Attacks want the gradient by the image, which the first convolution gives. Libraries are made for
training, where nobody asks for it: with one or three input channels theirs fills a small part of
each vector register. Here it is the product of the transposed weights with the gradient of the
output, one column for each window, and the columns are summed where windows overlap.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.models.layers.layers import CircularConv2d
from bench.steps.replace import replace, unwatched

MOST_CHANNELS = 4
"""Layers with more input channels stay as they are: the library's gradient is fast there."""


def column_gradient(model: nn.Module) -> tuple[nn.Module, int]:
    """Return a copy of a frozen model whose convolutions of few channels have this gradient.

    Args:
        model: eval mode, parameters frozen; not changed.

    Returns:
        The copy, tensors shared, and how many layers changed (0: the copy is the model itself).
    """
    names = narrow(model)
    return replace(model, names, ColumnConv), len(names)


def narrow(model: nn.Module) -> list[str]:
    """Return the names of the layers that `column_gradient` would change."""
    return [name for name, module in model.named_modules() if name and _narrow(module)]


class ColumnConv(nn.Module):
    """A frozen convolution, (B, C, H, W) -> (B, K, H', W'), differentiable by its input.

    Args:
        layer: one of those that `narrow` names.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        assert isinstance(layer, (nn.Conv2d, CircularConv2d)), "only convolutions are narrow"
        self.weight, self.bias = layer.weight, layer.bias
        self.rows: Tensor = self.weight.detach().flatten(1).t().contiguous()  # (C h w, K)
        self.stride: tuple[int, ...] = (1, 1)
        self.dilation: tuple[int, ...] = (1, 1)
        self.padding: Any = (0, 0)
        self.padded: Callable[[Tensor], Tensor] = _as_it_is
        if isinstance(layer, CircularConv2d):
            self.padded = layer.padded
        else:
            self.stride, self.padding, self.dilation = layer.stride, layer.padding, layer.dilation
            if _pads_like_tensorflow(layer):
                self.padded = self._padded_same

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of x."""
        result: Tensor = _Columns.apply(self.padded(x), self)
        return result

    def _padded_same(self, x: Tensor) -> Tensor:
        """Pad so that the output has ceil(size / stride) pixels, the odd one at the end."""
        ends: list[int] = []
        for axis in (1, 0):  # F.pad begins with the last axis
            size, stride = x.shape[axis - 2], self.stride[axis]
            reach = (self.weight.shape[axis + 2] - 1) * self.dilation[axis] + 1
            missing = max((-(-size // stride) - 1) * stride + reach - size, 0)
            ends += [missing // 2, missing - missing // 2]
        return F.pad(x, ends)


class _Columns(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: ColumnConv) -> Tensor:
        ctx.layer, ctx.size = layer, x.shape[-2:]
        return F.conv2d(
            x.detach(), layer.weight, layer.bias, layer.stride, layer.padding, layer.dilation
        )

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        layer: ColumnConv = ctx.layer
        columns = torch.matmul(layer.rows, gradient.flatten(2))  # (B, C h w, H' W')
        kernel = layer.weight.shape[-2:]
        return F.fold(columns, ctx.size, kernel, layer.dilation, layer.padding, layer.stride), None


def _as_it_is(x: Tensor) -> Tensor:
    return x


def _pads_like_tensorflow(layer: nn.Module) -> bool:
    """Return True for timm's Conv2dSame: its padding follows the size of the input."""
    return type(layer).__name__ == "Conv2dSame"


def _narrow(module: nn.Module) -> bool:
    """Return True for plain frozen convolutions of few channels that nobody watches."""
    if isinstance(module, nn.Conv2d):
        plain = type(module) is nn.Conv2d or _pads_like_tensorflow(module)
        plain &= module.groups == 1 and module.padding_mode == "zeros"
        plain &= not isinstance(module.padding, str)
    else:
        plain = isinstance(module, CircularConv2d) and module.direct
    if not plain or not unwatched(module):
        return False
    frozen = not any(p.requires_grad for p in module.parameters())
    weight = module.weight
    assert isinstance(weight, Tensor), "every convolution has one"
    return frozen and weight.shape[1] <= MOST_CHANNELS
