"""A cell's planted images as splits, and the best classifier of them as a net."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from torch import nn

from bench.entries.factors import PLANTED_CLASSES, PLANTED_EPOCH, Factors
from bench.models.collapse import AffineNet
from bench.studies.optimum import best
from bench.studies.planted import TEST_COUNT, Planted
from bench.training.job import Split


def splits(factors: Factors, seed: int) -> tuple[Split, Split, int]:
    """Return training and test split, and the number of classes.

    Args:
        factors: of the cell; `train_count` images are repeated to make an epoch of
            PLANTED_EPOCH; None: as many different ones.
        seed: of the cell.
    """
    data = Planted.of(factors, seed)
    count = factors.train_count or PLANTED_EPOCH
    return _split(data, "train", count), _split(data, "test", TEST_COUNT), PLANTED_CLASSES


@lru_cache(maxsize=2)
def _split(data: Planted, name: Literal["train", "test"], count: int) -> Split:
    images, labels = data.split(name, count)
    if name == "train" and count < PLANTED_EPOCH:
        again = np.arange(PLANTED_EPOCH) % count
        images, labels = images[again], labels[again]
    last = images.transpose(0, 2, 3, 1)
    shown = last[..., 0] if data.channels == 1 else last
    return Split(np.ascontiguousarray(shown), labels, data.fingerprint(name, count))


@dataclass(frozen=True)
class Optimum:
    """Builds the best classifier of a cell's images; nothing of it is trained."""

    factors: Factors

    def build(self, *, input_shape: tuple[int, int, int], classes: int, seed: int) -> nn.Module:
        """Return it; see `Builder`."""
        data = Planted.of(self.factors, seed)
        assert (input_shape, classes) == (data.shape, PLANTED_CLASSES), "images of the same factors"
        net = best(data)
        weight, bias = (torch.from_numpy(a).float() for a in (net.weights, net.bias))
        return AffineNet(weight, bias)
