"""The nets of a study: one table from family to what builds it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import get_args

import torch
from torch import nn

from bench.entries.factors import Factors
from bench.entries.fields import Frozen
from bench.entries.model import Family, Net
from bench.models.nets import CHANNELS, DEPTH, PaperNet
from bench.training.job import Builder

PAPER: tuple[str, ...] = get_args(Family)
"""Families of the paper, which the training of the registry's nets builds itself."""


class StudyNet(Frozen):
    """A net that is none of the paper's, as it stands in a checkpoint's metadata."""

    family: str
    deep: bool
    relu: bool


def described(factors: Factors) -> tuple[Frozen, Builder | None]:
    """Return what identifies a cell's net, and what builds it; None: it is the paper's."""
    deep = factors.depth == max(DEPTH_OF)
    if factors.family in PAPER:
        family: Family = factors.family  # type: ignore[assignment]
        net = Net(family=family, deep=deep, relu=factors.relu, kernel_size=factors.kernel)
        return net, None
    builder: Builder
    if factors.family == "local-conv-same":
        builder = SameConv(DEPTH[deep], factors.relu)
    else:
        builder = SmallNet(factors.family)
    return StudyNet(family=factors.family, deep=deep, relu=factors.relu), builder


DEPTH_OF = tuple(DEPTH.values())


@dataclass(frozen=True)
class SameConv:
    """3x3 convolutions as `locally-connected` has its layers: zero padding 1, no bias, normal."""

    depth: int
    relu: bool

    @torch.no_grad()
    def build(self, *, input_shape: tuple[int, int, int], classes: int, seed: int) -> nn.Module:
        """Return it with weights of the spread that PyTorch's default has; see `Builder`."""
        channels, height, width = input_shape
        inputs = [channels] + [CHANNELS] * (self.depth - 1)
        hidden: list[nn.Module] = [nn.Conv2d(c, CHANNELS, 3, padding=1, bias=False) for c in inputs]
        features = CHANNELS * height * width
        net = PaperNet(hidden, relu=self.relu, features=features, classes=classes)
        draws = torch.Generator().manual_seed(seed)
        for layer in net.hidden:
            assert isinstance(layer, nn.Conv2d), "that is what was put there"
            fan_in = layer.weight[0].numel()
            layer.weight.normal_(0.0, 1 / math.sqrt(3 * fan_in), generator=draws)
        bound = 1 / math.sqrt(features)
        net.readout.weight.uniform_(-bound, bound, generator=draws)
        net.readout.bias.uniform_(-bound, bound, generator=draws)
        return net


@dataclass(frozen=True)
class SmallNet:
    """A small net of timm's."""

    family: str

    def build(self, *, input_shape: tuple[int, int, int], classes: int, seed: int) -> nn.Module:
        """Return it with timm's initial weights; see `Builder`."""
        from bench.models.timm_small import build

        return build(self.family, input_shape=input_shape, classes=classes, seed=seed)
