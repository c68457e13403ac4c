"""Linear layers whose weights are laid out once for the matrix multiplication, on a CPU.

A frozen layer multiplies by the same weights thousands of times. oneDNN's blocked layout, made once
for the forward and once for the backward product, spares every call from arranging them anew.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from bench.attacks.replace import replace, unwatched

SMALLEST = 64
"""Layers with fewer inputs or outputs stay as they are: there is nothing to win."""
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
    return replace(model, names, PackedLinear), len(names)


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
        type(module) is nn.Linear
        and min(module.weight.shape) >= SMALLEST
        and module.weight.device.type == "cpu"
        and module.weight.dtype == torch.float32
        and not module.weight.requires_grad
        and unwatched(module)
    )
