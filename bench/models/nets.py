"""The nets of Supplementary Table 1: four families, shallow or deep, linear or ReLU.

Source: Caro et al. 2024, Supplementary Table 1; what it leaves open:

- A linear read-out on the flattened features follows the hidden layers (one, or three if deep).
- fully-connected: 3072 units a layer. The other families: 32 channels a layer.
- full-conv: circular padding, kernel = image.
- local-conv: 3x3, no padding. With a `kernel_size`: circular padding, so that along a series of
  sizes only the kernel changes and the image size is the full-conv net.
- locally-connected: 3x3, zero padding 1, no bias.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from bench.entries.model import Net
from bench.errors import BenchError
from bench.models.layers import circular as frequency
from bench.models.layers.layers import CircularConv2d, LocallyConnected2d, Readout

UNITS = 3072
CHANNELS = 32
DEPTH = {False: 1, True: 3}


class PaperNet(nn.Module):
    """Hidden layers, each followed by a ReLU if the net has them, then a linear read-out.

    Args:
        hidden: the hidden layers, in order.
        relu: True for a ReLU after each of them.
        features: values that the last hidden layer gives for one image.
        classes: number of logits.
    """

    def __init__(self, hidden: list[nn.Module], *, relu: bool, features: int, classes: int) -> None:
        super().__init__()
        self.hidden = nn.ModuleList(hidden)
        self.relu = relu
        self.readout = Readout(features, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, C, H, W), float in [0, 1], to logits (B, classes)."""
        circular = [layer for layer in self.hidden if isinstance(layer, CircularConv2d)]
        if circular and not self.relu:
            return self._in_frequency(circular, images)
        x = images.flatten(1) if isinstance(self.hidden[0], nn.Linear) else images
        for layer in self.hidden:
            x = layer(x)
            if self.relu:
                x = x.relu()
        logits: Tensor = self.readout(x)
        return logits

    def _in_frequency(self, layers: list[CircularConv2d], images: Tensor) -> Tensor:
        """The same for a chain of circular convolutions, which never leaves frequency space."""
        size = layers[0].image_size
        spectrum = frequency.analyse(images.permute(2, 3, 0, 1))
        for layer in layers:
            spectrum = layer.spectral(spectrum, leave=False)
        weight = self.readout.weight.view(-1, CHANNELS, *size)
        return frequency.inner_product(spectrum, weight, size) + self.readout.bias


def build_net(net: Net, *, input_shape: tuple[int, int, int], classes: int, seed: int) -> PaperNet:
    """Return a net with its seeded initial weights, on the CPU, in training mode.

    The weights depend on the arguments only, not on PyTorch's global random state.

    Args:
        net: the architecture.
        input_shape: (C, H, W) of one image.
        classes: number of logits.
        seed: of the initial weights.

    Raises:
        BenchError: the kernel size does not fit the image.
    """
    with torch.device("meta"):
        hidden, features = _hidden_layers(net, input_shape)
        built = PaperNet(hidden, relu=net.relu, features=features, classes=classes)
    built.to_empty(device="cpu")
    _initialise(built, torch.Generator().manual_seed(seed))
    return built


def _hidden_layers(net: Net, input_shape: tuple[int, int, int]) -> tuple[list[nn.Module], int]:
    """Return the hidden layers and the number of features that the last one gives."""
    channels, height, width = input_shape
    size = (height, width)
    depth = DEPTH[net.deep]
    inputs = [channels] + [CHANNELS] * (depth - 1)
    features = CHANNELS * height * width
    if net.family == "fully-connected":
        units = [channels * height * width] + [UNITS] * (depth - 1)
        return [nn.Linear(n, UNITS) for n in units], UNITS
    if net.family == "locally-connected":
        return [LocallyConnected2d(c, CHANNELS, size) for c in inputs], features
    if net.family == "full-conv" or net.kernel_size is not None:
        kernel = size if net.kernel_size is None else _series_kernel(net.kernel_size, size)
        return [CircularConv2d(c, CHANNELS, kernel, size) for c in inputs], features
    if min(size) <= 2 * depth:
        raise BenchError(
            f"expected images of more than {2 * depth} pixels a side, got {height} x {width}, in "
            f"{depth} unpadded 3x3 layers; use larger images or a shallow net"
        )
    features = CHANNELS * (height - 2 * depth) * (width - 2 * depth)
    return [nn.Conv2d(c, CHANNELS, 3) for c in inputs], features


def _series_kernel(kernel_size: int, size: tuple[int, int]) -> tuple[int, int]:
    """Return the kernel of the circular series: an odd size, or the image's."""
    if size == (kernel_size, kernel_size):
        return size
    if kernel_size % 2 == 0 or kernel_size > min(size):
        raise BenchError(
            f"expected an odd kernel_size of at most {min(size)} or the image size {size[0]} x "
            f"{size[1]}, got {kernel_size}, in the net; choose one of these"
        )
    return kernel_size, kernel_size


@torch.no_grad()
def _initialise(net: PaperNet, generator: torch.Generator) -> None:
    """Draw all weights: PyTorch's defaults, U(-b, b) with b = 1 / sqrt(fan_in), biases too.

    Locally connected weights are normal with that distribution's mean and spread.
    """
    for layer in [*net.hidden, net.readout]:
        weight = layer.weight
        assert isinstance(weight, Tensor), "every layer of a paper net has a weight"
        if isinstance(layer, LocallyConnected2d):
            fan_in = 3 * weight.shape[3]
            weight.normal_(0.0, 1 / math.sqrt(3 * fan_in), generator=generator)
            continue
        bound = 1 / math.sqrt(weight[0].numel())
        weight.uniform_(-bound, bound, generator=generator)
        assert isinstance(layer.bias, Tensor), "every other layer has a bias"
        layer.bias.uniform_(-bound, bound, generator=generator)
