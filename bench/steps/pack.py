"""Linear layers whose weights are laid out once for the matrix multiplication, on a CPU.

A frozen layer multiplies by the same weights thousands of times. oneDNN's blocked layout, made once
for the forward and once for the backward product, spares every call from arranging them anew.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from bench.models.layers.layers import (
    Readout,
    lies_positions_first,
    positions_first,
    spread,
    templates,
)
from bench.steps.replace import replace, unwatched

SMALLEST = 4096
"""Layers with fewer weights stay as they are: there is nothing to win."""
ROWS = 128
"""Rows of the product that the layout is made for; it is good for any number."""


def pack_linear(model: nn.Module) -> tuple[nn.Module, int]:
    """Return a copy of a frozen model with its larger linear layers packed; tensors are shared.

    Args:
        model: eval mode, parameters frozen, float32, on the CPU; not changed.

    Returns:
        The copy, and how many layers were packed (0: the copy is the model itself).
    """
    names = packable(model)
    return replace(model, names, _packed), len(names)


def packable(model: nn.Module) -> list[str]:
    """Return the names of the layers that `pack_linear` would pack."""
    if not _available():
        return []
    return [name for name, module in model.named_modules() if name and _packable(module)]


class PackedLinear(nn.Linear):
    """A frozen linear layer in oneDNN's layout; (..., in) -> (..., out), differentiable by x."""

    def __init__(self, layer: nn.Module) -> None:
        assert isinstance(layer, nn.Linear), "only linear layers are packable"
        nn.Module.__init__(self)
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.weight, self.bias = layer.weight, layer.bias
        weight = layer.weight.detach()
        reorder = torch.ops.mkldnn._reorder_linear_weight
        self.forwards: Tensor = reorder(weight, ROWS)
        self.backwards: Tensor = reorder(weight.t().contiguous(), ROWS)

    def forward(self, x: Tensor) -> Tensor:
        """Return x @ weight.T + bias."""
        result: Tensor = _Product.apply(x, self)
        return result


class PackedReadout(PackedLinear):
    """The same for the zoo's read-out, which takes (B, C, H, W) positions first as well."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__(layer)
        self.by_position: Tensor | None = None
        self.products: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) or (B, C * H * W) to logits (B, K)."""
        if not lies_positions_first(x):
            return super().forward(x.flatten(1))
        if self.by_position is None:  # the first image tells how many channels there are
            self.by_position = templates(self.weight.detach(), x.shape[1])
            self.products = torch.ops.mkldnn._reorder_linear_weight(
                self.by_position.flatten(1), ROWS
            )
        result: Tensor = _PositionsProduct.apply(x, self)
        return result


class _PositionsProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: PackedReadout) -> Tensor:
        ctx.layer, ctx.size = layer, x.shape[2:]
        assert layer.products is not None, "made before the call"
        return _multiply(positions_first(x.detach()), layer.products, layer.bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return spread(gradient, ctx.layer.by_position, ctx.size), None


def _packed(layer: nn.Module) -> PackedLinear:
    return (PackedReadout if isinstance(layer, Readout) else PackedLinear)(layer)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: PackedLinear) -> Tensor:
        ctx.layer = layer
        return _multiply(x.detach(), layer.forwards, layer.bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _multiply(gradient, ctx.layer.backwards, None), None


def _multiply(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise(
        x.contiguous(), weight, bias, "none", [], ""
    )
    return product


def _available() -> bool:
    return bool(torch.backends.mkldnn.is_available()) and all(  # type: ignore[no-untyped-call]
        hasattr(torch.ops.mkldnn, name) for name in ("_reorder_linear_weight", "_linear_pointwise")
    )


def _packable(module: nn.Module) -> bool:
    """Return True for plain frozen float32 layers on the CPU that nobody watches."""
    return (
        type(module) in (nn.Linear, Readout)
        and isinstance(module, nn.Linear)
        and module.weight.numel() >= SMALLEST
        and module.weight.device.type == "cpu"
        and module.weight.dtype == torch.float32
        and not module.weight.requires_grad
        and unwatched(module)
    )
