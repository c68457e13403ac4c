"""The filters of one of the paper's nets, as arrays on the image's grid."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from bench.entries import registry
from bench.entries.model import ModelEntry
from bench.errors import BenchError
from bench.models.checkpoint import read_checkpoint
from bench.models.collapse import collapse, is_affine
from bench.models.layers.layers import LocallyConnected2d
from bench.models.nets import PaperNet, build_net
from bench.models.weights import load_weights
from bench.theory.product import Complex, transfer
from bench.theory.uncertainty import Floats

CIRCULAR = ("full-conv", "local-conv")
"""Families whose layers are circular convolutions of the image's size: unpadded kernels are, too,
as the read-out's zeros leave room for them."""


@dataclass(frozen=True)
class Filters:
    """What the theory speaks of in one net.

    Attributes:
        size: (H, W).
        window: (h, w), the kernel's size where it is smaller than the image, else (3, 3).
        local: whether kernels are confined to that window.
        layers: name -> kernels (N, C, H, W) of a hidden layer that lies on the grid.
        chain: channel matrices (O, I, H*W) of the hidden layers, circular families only.
        readout: (classes, channels, H*W) of the read-out, with them.
        beta: (classes, C, H, W) of a linear net: exact, the same at every image; None with ReLUs.
        depth: hidden layers.
    """

    size: tuple[int, int]
    window: tuple[int, int]
    local: bool
    layers: dict[str, Floats]
    chain: list[Complex]
    readout: Complex | None
    beta: Floats | None
    depth: int


def open_net(entry: ModelEntry, weights: str, seed: int = 0) -> PaperNet:
    """Return a net of the paper with its own layers (a linear one is not collapsed).

    Args:
        entry: the model's.
        weights: "default", "random", or a file.
        seed: of random weights.

    Raises:
        BenchError: it is not one of the paper's nets, or its file has no layers.
    """
    if entry.net is None:
        raise BenchError(
            f"expected one of the paper's nets, got {entry.name!r}, whose layers are not the "
            "theory's; see `bench list models`"
        )
    dataset = registry.dataset(entry.dataset)
    shape = (dataset.channels, dataset.size, dataset.size)
    net = build_net(entry.net, input_shape=shape, classes=len(dataset.classes), seed=seed)
    if weights == "random":
        return net.eval().requires_grad_(False)
    path, sha256 = Path(weights), None
    if weights == "default":
        if entry.weights is None or entry.weights.file is None:
            raise BenchError(
                f"expected trained weights of {entry.name!r}, found none in its entry; name a "
                "checkpoint of `bench train` with --weights"
            )
        path, sha256 = registry.registry_dir() / entry.weights.file, entry.weights.sha256
    if not path.is_file():
        raise BenchError(f"expected a weights file, found none, at {path}; check --weights")
    tensors = read_checkpoint(path, sha256=sha256).tensors
    if is_affine(tensors):
        raise BenchError(
            f"expected the layers of {entry.name!r}, found the one affine map that it is, in "
            f"{path.name}; train it again with `bench train`, and name that file with --weights"
        )
    load_weights(net, tensors, str(path))
    return net.eval().requires_grad_(False)


def filters(entry: ModelEntry, net: PaperNet) -> Filters:
    """Return the filters of a net, float64."""
    assert entry.net is not None, "open_net has seen to it"
    dataset = registry.dataset(entry.dataset)
    size = (dataset.size, dataset.size)
    family, linear = entry.net.family, not entry.net.relu
    weights = [_weight(layer) for layer in net.hidden]
    local = weights[0].shape[-1] < dataset.size if family in CIRCULAR else False
    local |= family == "locally-connected"
    window = (3, 3)
    if family in CIRCULAR and local:
        window = (int(weights[0].shape[-2]), int(weights[0].shape[-1]))
    layers: dict[str, Floats] = {}
    if family in CIRCULAR:
        layers = {f"hidden {i + 1}": _on_grid(w.numpy(), size) for i, w in enumerate(weights)}
    elif family == "fully-connected":  # later layers do not lie on the image's grid
        layers = {"hidden 1": weights[0].reshape(-1, dataset.channels, *size).numpy()}
    else:
        layers = {"hidden 1": _local_kernels(net.hidden[0], size)}
    chain, readout = [], None
    if family in CIRCULAR:
        chain = [transfer(w.numpy(), size) for w in weights]
        readout = _readout(net, size)
    shape = (dataset.channels, *size)
    beta = collapse(net.double(), shape).weight.view(-1, *shape).numpy() if linear else None
    return Filters(size, window, local, layers, chain, readout, beta, len(weights))


def _weight(layer: torch.nn.Module) -> torch.Tensor:
    weight = layer.weight
    assert isinstance(weight, torch.Tensor), "every layer of a paper net has a weight"
    return weight.detach().double()


def _on_grid(kernels: Floats, size: tuple[int, int]) -> Floats:
    """Return kernels (N, C, h, w) in the corner of the image's grid."""
    grid = np.zeros((*kernels.shape[:2], *size))
    grid[:, :, : kernels.shape[2], : kernels.shape[3]] = kernels
    return grid


def _local_kernels(layer: torch.nn.Module, size: tuple[int, int]) -> Floats:
    """Return the 3 x 3 kernels of all places and channels, (H W O, C, 3, 3), in a corner of a grid.

    What a kernel at the border has outside of the image meets padding only, and is left out.
    """
    assert isinstance(layer, LocallyConnected2d), "the family's layer"
    weight = layer.weight.detach().double().numpy()  # (H, 3, W, 3 C, O)
    height, width = size
    channels = weight.shape[3] // 3
    kernels = weight.reshape(height, 3, width, 3, channels, -1).transpose(0, 2, 5, 4, 1, 3).copy()
    kernels[0, :, :, :, 0], kernels[-1, :, :, :, 2] = 0, 0
    kernels[:, 0, :, :, :, 0], kernels[:, -1, :, :, :, 2] = 0, 0
    return kernels.reshape(-1, channels, 3, 3)


def _readout(net: PaperNet, size: tuple[int, int]) -> Complex:
    weight = net.readout.weight.detach().double().numpy()
    channels = len(_weight(net.hidden[-1]))
    side = round((weight.shape[1] / channels) ** 0.5)
    return transfer(weight.reshape(len(weight), channels, side, side), size)
