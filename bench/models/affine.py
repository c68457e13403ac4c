"""Train a linear net through the one affine map that it is: the same gradients at a fraction.

The map's rows are the read-out's weights taken back through the transposes of the hidden layers:
work for as many images as there are classes, not for a whole batch, and a batch then meets one
matrix. All of it is differentiable in the net's parameters, which stay what is trained: by the
chain rule their gradients are those of the net itself, up to rounding. `collapse` finds the same
map of any frozen net, in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.models.layers import circular as frequency
from bench.models.layers.layers import CircularConv2d, LocallyConnected2d
from bench.models.nets import PaperNet


def has_affine_map(net: nn.Module) -> TypeGuard[PaperNet]:
    """Return whether `affine_map` knows a net: one of the paper's kind, without ReLU."""
    return (
        isinstance(net, PaperNet)
        and not net.relu
        and all(type(layer) in _TRANSPOSES for layer in net.hidden)
    )


def affine_map(net: PaperNet, input_shape: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    """Return a linear net's matrix (classes, C * H * W) and its logits at zero (classes,).

    Both are differentiable in the net's parameters.

    Args:
        net: one that `has_affine_map`.
        input_shape: (C, H, W) of one image.
    """
    rows: Tensor = net.readout.weight
    offset: Tensor = net.readout.bias
    shapes = [torch.Size(input_shape)]
    for layer in net.hidden:
        shapes.append(_shape_after(layer, shapes[-1]))
    for layer, before, after in zip(
        reversed(net.hidden), reversed(shapes[:-1]), reversed(shapes[1:]), strict=True
    ):
        rows = rows.reshape(-1, *after)
        bias = getattr(layer, "bias", None)  # locally connected layers have none
        if bias is not None:
            assert isinstance(bias, Tensor), "a layer's bias is a parameter"
            offset = offset + rows.flatten(2).sum(2) @ bias
        rows = _TRANSPOSES[type(layer)](layer, rows, before)
    return rows.flatten(1), offset


def _shape_after(layer: nn.Module, shape: torch.Size) -> torch.Size:
    """Return what a layer makes of one value of a shape (C, H, W); (units, 1) of a dense one."""
    if isinstance(layer, nn.Linear):
        return torch.Size([layer.out_features, 1])
    if isinstance(layer, nn.Conv2d):
        taps, around = layer.kernel_size, layer.padding
        assert isinstance(around, tuple), "the paper's nets pad by numbers"
        sides = (n + 2 * p - k + 1 for n, p, k in zip(shape[1:], around, taps, strict=True))
        return torch.Size([layer.out_channels, *sides])
    weight = layer.weight
    assert isinstance(weight, Tensor), "every layer has a weight"
    channels = weight.shape[-1 if isinstance(layer, LocallyConnected2d) else 0]
    return torch.Size([channels, *shape[1:]])


def _dense(layer: nn.Linear, rows: Tensor, before: torch.Size) -> Tensor:
    return rows.flatten(1) @ layer.weight


def _convolution(layer: nn.Conv2d, rows: Tensor, before: torch.Size) -> Tensor:
    return F.conv_transpose2d(rows, layer.weight, padding=layer.padding)  # type: ignore[arg-type]


def _circular(layer: CircularConv2d, rows: Tensor, before: torch.Size) -> Tensor:
    """The layer is analysis, a matrix for each frequency, synthesis: so is its transpose."""
    size, weight = layer.image_size, layer.weight
    matrix = frequency.kernel_matrix(weight, size, leave=True)
    spectrum = frequency.analyse(rows.permute(2, 3, 0, 1))
    flat = spectrum.reshape(*spectrum.shape[:2], -1)
    back = torch.bmm(flat, matrix.mT).view(*spectrum.shape[:3], weight.shape[1])
    return frequency.synthesise(back, size).permute(2, 3, 0, 1)


class _ContiguousGradient(torch.autograd.Function):
    """The same; its gradient is laid out so that a batch of products is one call."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient.contiguous()


def _locally_connected(layer: LocallyConnected2d, rows: Tensor, before: torch.Size) -> Tensor:
    height, width = layer.image_size
    channels = before[0]
    by_position = rows.permute(2, 3, 0, 1).reshape(height * width, len(rows), -1)
    weight = layer.weight.transpose(1, 2).reshape(height * width, 9 * channels, -1)
    patches = _ContiguousGradient.apply(torch.bmm(by_position, weight.mT))  # (P, K, (3, 3, C))
    # fold wants (K, (C, row, column), P)
    patches = patches.view(height * width, len(rows), 9, channels).permute(1, 3, 2, 0)
    patches = patches.reshape(len(rows), channels * 9, height * width)
    return F.fold(patches, (height, width), kernel_size=3, padding=1)


_TRANSPOSES: dict[type[nn.Module], Callable[..., Tensor]] = {
    nn.Linear: _dense,
    nn.Conv2d: _convolution,
    CircularConv2d: _circular,
    LocallyConnected2d: _locally_connected,
}
