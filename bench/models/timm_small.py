"""Small nets of timm's classes for images of 28 to 64 pixels: a CNN, a ViT, two MLPs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

WIDTH, BLOCKS, PATCH = 64, 4, 4
"""Features, blocks and pixels of a patch's side of the three nets on patches."""


def build(family: str, *, input_shape: tuple[int, int, int], classes: int, seed: int) -> nn.Module:
    """Return a net with timm's initial weights, drawn from a seed; it has no buffers.

    Args:
        family: "cnn", "vit", "mlp-mixer" or "resmlp".
        input_shape: (C, H, W); H = W, a multiple of 4.
        classes: number of logits.
        seed: of the weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net: nn.Module = NETS[family](input_shape, classes)
        # timm begins with a read-out of zeros, which gives every image the same logits
        readout = net.get_submodule("fc" if family == "cnn" else "head")
        nn.init.trunc_normal_(readout.get_parameter("weight"), std=0.02)
    state = dict(net.named_parameters())
    assert set(state) == set(net.state_dict()), "the training keeps parameters only"
    return net


def _cnn(shape: tuple[int, int, int], classes: int) -> Any:
    """A residual net of four basic blocks, 3x3, with group norm: no batch statistics."""
    from timm.models.resnet import BasicBlock, ResNet

    return ResNet(
        BasicBlock,
        layers=(1, 1, 1, 1),
        channels=(16, 32, 64, 64),
        num_classes=classes,
        in_chans=shape[0],
        stem_width=16,
        norm_layer=_group_norm,
        replace_stem_pool=True,
    )


def _group_norm(channels: int, **_: Any) -> nn.Module:
    return nn.GroupNorm(8, channels)


def _vit(shape: tuple[int, int, int], classes: int) -> Any:
    from timm.models.vision_transformer import VisionTransformer

    return VisionTransformer(
        img_size=shape[1],
        patch_size=PATCH,
        in_chans=shape[0],
        num_classes=classes,
        embed_dim=WIDTH,
        depth=BLOCKS,
        num_heads=4,
    )


def _mixer(shape: tuple[int, int, int], classes: int) -> Any:
    from timm.models.mlp_mixer import MlpMixer

    return MlpMixer(
        img_size=shape[1],
        patch_size=PATCH,
        in_chans=shape[0],
        num_classes=classes,
        embed_dim=WIDTH,
        num_blocks=BLOCKS,
    )


def _resmlp(shape: tuple[int, int, int], classes: int) -> Any:
    from timm.models.mlp_mixer import Affine, MlpMixer, ResBlock

    return MlpMixer(
        img_size=shape[1],
        patch_size=PATCH,
        in_chans=shape[0],
        num_classes=classes,
        embed_dim=WIDTH,
        num_blocks=BLOCKS,
        mlp_ratio=4,
        block_layer=ResBlock,
        norm_layer=Affine,
    )


NETS: dict[str, Callable[[tuple[int, int, int], int], Any]] = {
    "cnn": _cnn,
    "vit": _vit,
    "mlp-mixer": _mixer,
    "resmlp": _resmlp,
}
