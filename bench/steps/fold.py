"""Batch normalisation folded into the convolution before it: exact in eval mode, fewer passes."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights


def fold_batchnorm(model: nn.Module, images: Tensor) -> tuple[nn.Module, int]:
    """Return a copy of a frozen model with its conv + batch norm pairs folded.

    Which convolution feeds which normalisation is seen in one forward pass. That nothing else
    reads the convolution is not: compare the copy's results with the model's before using it.

    Args:
        model: eval mode, parameters frozen; not changed.
        images: (B, C, H, W) float, any images that the model takes.

    Returns:
        The copy, and how many pairs were folded (0: the copy is the model itself).
    """
    pairs = _pairs(model, images)
    if not pairs:
        return model, 0
    folded = copy.deepcopy(model)
    for conv_name, norm_name in pairs:
        conv, norm = folded.get_submodule(conv_name), folded.get_submodule(norm_name)
        assert isinstance(conv, nn.Conv2d), "pairs are (convolution, batch norm)"
        assert isinstance(norm, nn.BatchNorm2d), "pairs are (convolution, batch norm)"
        _fold(conv, norm)
        parent, _, leaf = norm_name.rpartition(".")
        setattr(folded.get_submodule(parent), leaf, _rest_of(norm))
    return folded, len(pairs)


@torch.no_grad()
def _pairs(model: nn.Module, images: Tensor) -> list[tuple[str, str]]:
    """Return (convolution, batch norm) names where the one's output is the other's input."""
    made_by: dict[int, str] = {}
    alive: list[Tensor] = []  # ids are only unique among living tensors
    pairs: list[tuple[str, str]] = []
    calls: dict[str, int] = {}

    def watch(name: str, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        calls[name] = calls.get(name, 0) + 1
        if isinstance(module, nn.Conv2d):
            made_by[id(output)] = name
            alive.append(output)
        elif id(inputs[0]) in made_by:
            pairs.append((made_by.pop(id(inputs[0])), name))

    hooks = [
        module.register_forward_hook(
            lambda module, inputs, output, name=name: watch(name, module, inputs, output)
        )
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d) or _foldable(module)
    ]
    try:
        model(images)
    finally:
        for hook in hooks:
            hook.remove()
    return [pair for pair in pairs if calls[pair[0]] == calls[pair[1]] == 1]


def _foldable(module: nn.Module) -> bool:
    """Return True for batch norms with fixed statistics that we know all of."""
    if not isinstance(module, nn.BatchNorm2d) or module.running_var is None:
        return False
    # timm's BatchNormAct2d: normalisation, then .drop, then .act
    return type(module) is nn.BatchNorm2d or (hasattr(module, "drop") and hasattr(module, "act"))


def _rest_of(norm: nn.BatchNorm2d) -> nn.Module:
    if type(norm) is nn.BatchNorm2d:
        return nn.Identity()
    drop, act = norm.drop, norm.act
    assert isinstance(drop, nn.Module), "BatchNormAct2d has modules drop and act"
    assert isinstance(act, nn.Module), "BatchNormAct2d has modules drop and act"
    return nn.Sequential(drop, act)


@torch.no_grad()
def _fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """Write the normalisation's scale and shift into the convolution, computed in float64."""
    own = (conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.weight, norm.bias)
    weight, bias, mean, variance, scale, shift = (None if v is None else v.double() for v in own)
    assert weight is not None, "a convolution has weights"
    assert mean is not None, "only batch norms with fixed statistics are folded"
    assert variance is not None, "only batch norms with fixed statistics are folded"
    # the weights alone: fuse_conv_bn_eval would round in float32 and knows no BatchNormAct2d
    fused = fuse_conv_bn_weights(weight, bias, mean, variance, norm.eps, scale, shift)
    conv.weight, conv.bias = (
        nn.Parameter(values.to(conv.weight.dtype), requires_grad=False) for values in fused
    )
