"""The nets are Table 1's, and their initial weights are PyTorch's and the seed's alone."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bench.entries.model import Family, Net
from bench.errors import BenchError
from bench.models.nets import PaperNet, build_net

GRAY, COLOUR = (1, 28, 28), (3, 32, 32)

# parameters by hand: weights + biases of the hidden layers, then of the 10-way read-out
PARAMETERS = {
    ("fully-connected", False, GRAY): 784 * 3072 + 3072 + 3072 * 10 + 10,
    ("fully-connected", True, GRAY): 784 * 3072 + 2 * 3072**2 + 3 * 3072 + 3072 * 10 + 10,
    ("fully-connected", False, COLOUR): 3072 * 3072 + 3072 + 3072 * 10 + 10,
    ("full-conv", False, GRAY): 32 * 784 + 32 + 32 * 784 * 10 + 10,
    ("full-conv", True, GRAY): 784 * (32 + 2 * 32 * 32) + 3 * 32 + 32 * 784 * 10 + 10,
    ("full-conv", False, COLOUR): 3 * 32 * 1024 + 32 + 32 * 1024 * 10 + 10,
    ("locally-connected", False, GRAY): 784 * 9 * 32 + 32 * 784 * 10 + 10,
    ("locally-connected", True, COLOUR): 1024 * 9 * 32 * (3 + 64) + 32 * 1024 * 10 + 10,
    ("local-conv", False, GRAY): 9 * 32 + 32 + 32 * 26 * 26 * 10 + 10,
    ("local-conv", True, GRAY): 9 * 32 + 2 * 9 * 32 * 32 + 3 * 32 + 32 * 22 * 22 * 10 + 10,
    ("local-conv", True, COLOUR): 9 * 32 * 3 + 2 * 9 * 32 * 32 + 3 * 32 + 32 * 26 * 26 * 10 + 10,
}


def make(family: Family, deep: bool, relu: bool, **options: object) -> PaperNet:
    shape = options.pop("input_shape", GRAY)
    seed = options.pop("seed", 0)
    net = Net.model_validate({"family": family, "deep": deep, "relu": relu, **options})
    return build_net(net, input_shape=shape, classes=10, seed=seed)  # type: ignore[arg-type]


@pytest.mark.parametrize(("family", "deep", "shape"), PARAMETERS)
def test_number_of_parameters(family: Family, deep: bool, shape: tuple[int, int, int]) -> None:
    net = make(family, deep, True, input_shape=shape)
    assert sum(p.numel() for p in net.parameters()) == PARAMETERS[family, deep, shape]


@pytest.mark.parametrize("family", ["fully-connected", "full-conv", "locally-connected"])
def test_names_of_the_state_dict(family: Family) -> None:
    biases = [] if family == "locally-connected" else ["bias"]
    hidden = [f"hidden.{i}.{part}" for i in range(3) for part in ["weight", *biases]]
    assert list(make(family, True, True).state_dict()) == [
        *hidden,
        "readout.weight",
        "readout.bias",
    ]


@pytest.mark.parametrize("relu", [False, True])
def test_local_conv_is_the_plain_pytorch_net(relu: bool) -> None:
    layers: list[nn.Module] = []
    for channels in (1, 32, 32):
        layers += [nn.Conv2d(channels, 32, 3), nn.ReLU() if relu else nn.Identity()]
    plain = nn.Sequential(*layers, nn.Flatten(), nn.Linear(32 * 22 * 22, 10))
    net = make("local-conv", True, relu)
    plain.load_state_dict(dict(zip(plain.state_dict(), net.state_dict().values(), strict=True)))
    images = torch.rand(3, *GRAY)
    torch.testing.assert_close(net(images), plain(images))


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize(("height", "width"), [(8, 8), (7, 7), (6, 9)])
@pytest.mark.parametrize("channels", [1, 3])
def test_full_conv_is_the_plain_pytorch_net(
    relu: bool, height: int, width: int, channels: int
) -> None:
    net = make("full-conv", True, relu, input_shape=(channels, height, width))
    images = torch.rand(3, channels, height, width)
    x = images.double()
    for layer in net.hidden:
        plain = nn.Conv2d(
            layer.weight.shape[1], 32, (height, width), padding="same", padding_mode="circular"
        )
        plain.load_state_dict(layer.state_dict())
        x = plain.double()(x)
        x = x.relu() if relu else x
    expected = F.linear(x.flatten(1), net.readout.weight.double(), net.readout.bias.double())
    torch.testing.assert_close(net(images).double(), expected, rtol=1e-5, atol=1e-6)


def test_fully_connected_is_the_plain_pytorch_net() -> None:
    net = make("fully-connected", False, True)
    plain = nn.Sequential(nn.Flatten(), nn.Linear(784, 3072), nn.ReLU(), nn.Linear(3072, 10))
    plain.load_state_dict(dict(zip(plain.state_dict(), net.state_dict().values(), strict=True)))
    images = torch.rand(3, *GRAY)
    torch.testing.assert_close(net(images), plain(images))


@pytest.mark.parametrize("family", ["fully-connected", "full-conv", "local-conv"])
def test_initial_weights_have_the_distribution_of_pytorch(family: Family) -> None:
    net = make(family, False, True)
    hidden = net.hidden[0]
    bound = 1 / math.sqrt(hidden.weight[0].numel())
    for values in (hidden.weight.detach(), hidden.bias.detach()):
        assert values.abs().max() <= bound
        assert values.abs().max() > 0.8 * bound
        n = values.numel()
        assert values.mean().abs() < 4 * bound / math.sqrt(3 * n)
        assert values.std().item() == pytest.approx(bound / math.sqrt(3), rel=2 / math.sqrt(n))


def test_locally_connected_weights_are_normal_with_the_spread_of_a_conv_layer() -> None:
    weight = make("locally-connected", True, True).hidden[1].weight.detach()
    reference = nn.Conv2d(32, 32, 3).weight.detach()
    assert weight.std().item() == pytest.approx(reference.std().item(), rel=0.03)
    kurtosis = ((weight / weight.std()) ** 4).mean().item()
    assert kurtosis == pytest.approx(3.0, abs=0.02)  # 1.8 if uniform


@pytest.mark.parametrize("family", ["fully-connected", "full-conv", "locally-connected"])
def test_weights_depend_on_the_seed_and_nothing_else(family: Family) -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = make(family, False, True, seed=5).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(10)
    again, other = (make(family, False, True, seed=s).state_dict() for s in (5, 6))
    for name, value in first.items():
        assert torch.equal(value, again[name])
        assert not torch.equal(value, other[name])


def test_relu_and_linear_nets_start_from_the_same_weights() -> None:
    linear, relu = make("local-conv", False, False), make("local-conv", False, True)
    assert torch.equal(linear.hidden[0].weight, relu.hidden[0].weight)


def test_the_series_ends_at_the_full_kernel_net() -> None:
    full = make("full-conv", True, True)
    series = make("local-conv", True, True, kernel_size=28)
    images = torch.rand(2, *GRAY)
    assert torch.equal(full(images), series(images))


@pytest.mark.parametrize("kernel_size", [1, 3, 7, 27])
def test_kernel_sizes_of_the_series(kernel_size: int) -> None:
    net = make("local-conv", False, True, kernel_size=kernel_size)
    plain = nn.Conv2d(1, 32, kernel_size, padding="same", padding_mode="circular")
    plain.load_state_dict(net.hidden[0].state_dict())
    images = torch.rand(2, *GRAY)
    expected = net.readout(plain(images).relu().flatten(1))
    torch.testing.assert_close(net(images), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kernel_size", [2, 26, 29, 31])
def test_kernel_sizes_that_do_not_fit(kernel_size: int) -> None:
    with pytest.raises(BenchError, match=rf"odd kernel_size of at most 28.*got {kernel_size}"):
        make("local-conv", False, True, kernel_size=kernel_size)


def test_images_too_small_for_the_deep_local_net() -> None:
    with pytest.raises(BenchError, match=r"more than 6 pixels.*got 6 x 6"):
        make("local-conv", True, True, input_shape=(1, 6, 6))
