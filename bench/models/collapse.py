"""A net without nonlinearity is one affine map: find it, and use it in the net's place.

The logits are beta @ image + offset, with the Jacobian beta the same at every image. An attack on
the collapsed net costs what it costs on a linear classifier, however deep the net is.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from bench.errors import BenchError

CHECK_TOLERANCE = 1e-9
"""Largest relative difference of an affine net's logits, in float64, from beta @ x + offset."""


class AffineNet(nn.Module):
    """Images -> logits by one matrix.

    Args:
        weight: (classes, C * H * W).
        offset: (classes,).
    """

    def __init__(self, weight: Tensor, offset: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = nn.Parameter(offset, requires_grad=False)

    @classmethod
    def empty(cls, input_shape: tuple[int, int, int], classes: int) -> AffineNet:
        """Return a map of zeros that takes images (C, H, W), for weights to be loaded into."""
        return cls(torch.zeros(classes, math.prod(input_shape)), torch.zeros(classes))

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, C, H, W) to logits (B, classes)."""
        return nn.functional.linear(images.flatten(1), self.weight, self.bias)


def is_affine(tensors: Mapping[str, Tensor]) -> bool:
    """Return whether a state dict is that of an affine map of flat images (`AffineNet`)."""
    names = {"weight": 2, "bias": 1}
    return {name: tensor.ndim for name, tensor in tensors.items()} == names


def collapse(module: nn.Module, input_shape: tuple[int, int, int]) -> AffineNet:
    """Return the one affine map that a net without nonlinearity is.

    It is computed in float64 and has the net's dtype and device; its parameters are frozen.
    Later changes of the net's weights do not reach it.

    Args:
        module: images (B, C, H, W) -> logits (B, classes).
        input_shape: (C, H, W).

    Raises:
        BenchError: the net is not affine.
    """
    like = next(module.parameters())
    jacobian, offset = _affine(module, input_shape)
    return AffineNet(jacobian.flatten(1).to(like), offset.to(like)).eval()


def _affine(module: nn.Module, input_shape: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    """Return Jacobian (classes, C, H, W) and logits at the zero image (classes,), float64."""
    net = copy.deepcopy(module).double().eval().requires_grad_(False)
    device = next(module.parameters()).device
    zero = torch.zeros(1, *input_shape, dtype=torch.float64, device=device)
    with torch.no_grad():
        offset = net(zero)[0]
    # one image per class: the k-th image's gradient is the k-th row of the Jacobian
    with torch.enable_grad():
        images = zero.repeat(len(offset), 1, 1, 1).requires_grad_()
        (jacobian,) = torch.autograd.grad(net(images).diagonal().sum(), images)
    _must_be_affine(net, jacobian, offset)
    return jacobian, offset


@torch.no_grad()
def _must_be_affine(net: nn.Module, jacobian: Tensor, offset: Tensor) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, *jacobian.shape[1:], dtype=torch.float64, generator=generator)
    images = images.to(jacobian.device)
    expected = net(images)
    found = images.flatten(1) @ jacobian.flatten(1).t() + offset
    error = (found - expected).abs().max() / expected.abs().max().clamp_min(1e-30)
    if not error <= CHECK_TOLERANCE:
        raise BenchError(
            f"expected a net without nonlinearity, got one whose logits differ by {error:.1e} from "
            f"any affine map, in {type(net).__name__}; only linear nets collapse"
        )
