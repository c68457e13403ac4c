"""The fast layers equal plain PyTorch layers, in value and in every gradient."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.entries.model import Net
from bench.models.layers import circular as frequency
from bench.models.layers import fourier_basis
from bench.models.layers.layers import CircularConv2d, LocallyConnected2d, Readout
from bench.models.nets import build_net

TOLERANCE = 1e-5
CASES = [
    ((28, 28), 1),
    ((32, 32), 3),
    ((27, 27), 1),
    ((8, 8), 32),
    ((7, 5), 32),
    ((6, 9), 3),
    ((4, 3), 1),
]


def relative(found: Tensor | None, expected: Tensor | None) -> float:
    assert found is not None
    assert expected is not None
    found, expected = found.double(), expected.double()
    return ((found - expected).abs().max() / expected.abs().max()).item()


def compare(fast: nn.Module, plain: Callable[[Tensor, Tensor], Tensor], x: Tensor) -> Tensor:
    """Compare value, input gradient and weight gradient with a float64 reference."""
    generator = torch.Generator().manual_seed(1)
    inputs = x.clone().requires_grad_()
    found = fast(inputs)
    upstream = torch.randn(found.shape, generator=generator)
    found.backward(upstream)
    weight = fast.weight.detach().double().requires_grad_()
    reference_inputs = x.double().requires_grad_()
    expected = plain(reference_inputs, weight)
    expected.backward(upstream.double())
    assert found.shape == expected.shape
    assert relative(found, expected) < TOLERANCE
    assert relative(inputs.grad, reference_inputs.grad) < TOLERANCE
    assert relative(fast.weight.grad, weight.grad) < TOLERANCE
    return upstream


def circular(channels: int, kernel: tuple[int, int], size: tuple[int, int]) -> CircularConv2d:
    layer = CircularConv2d(channels, 32, kernel, size)
    generator = torch.Generator().manual_seed(0)
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -0.1, 0.1, generator=generator)
    return layer


def images(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize(("size", "channels"), CASES, ids=str)
@pytest.mark.parametrize("kernel", ["full", "3"])
def test_circular_conv_equals_conv2d(
    kernel: str, size: tuple[int, int], channels: int, direct: bool
) -> None:
    taps = size if kernel == "full" else (3, 3)
    layer = circular(channels, taps, size)
    layer.direct = direct
    plain = nn.Conv2d(channels, 32, taps, padding="same", padding_mode="circular").double()

    def reference(x: Tensor, weight: Tensor) -> Tensor:
        return torch.func.functional_call(
            plain, {"weight": weight, "bias": layer.bias.detach().double()}, x
        )

    batch = 2 if max(size) > 16 else 5
    upstream = compare(layer, reference, images(batch, channels, *size))
    assert relative(layer.bias.grad, upstream.sum((0, 2, 3))) < TOLERANCE


def plain_locally_connected(x: Tensor, weight: Tensor) -> Tensor:
    """One output pixel at a time, from the definition."""
    height, _, width, columns, out_channels = weight.shape
    channels = columns // 3
    padded = F.pad(x, (1, 1, 1, 1))
    kernels = weight.view(height, 3, width, 3, channels, out_channels)
    rows = []
    for i in range(height):
        row = [
            torch.einsum("bcyx,yxco->bo", padded[:, :, i : i + 3, j : j + 3], kernels[i, :, j])
            for j in range(width)
        ]
        rows.append(torch.stack(row, 2))
    return torch.stack(rows, 2)


@pytest.mark.parametrize("channels", [1, 3, 8, 32])
@pytest.mark.parametrize("size", [(10, 10), (7, 5), (4, 9)], ids=str)
def test_locally_connected_equals_its_definition(size: tuple[int, int], channels: int) -> None:
    layer = LocallyConnected2d(channels, 32, size)
    nn.init.normal_(layer.weight, generator=torch.Generator().manual_seed(0))
    compare(layer, plain_locally_connected, images(3, channels, *size))


def test_locally_connected_with_equal_weights_is_a_convolution() -> None:
    layer = LocallyConnected2d(3, 32, (9, 8))
    kernel = torch.randn(32, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    same = kernel.permute(2, 3, 1, 0).reshape(1, 3, 1, 9, 32)
    layer.weight.data = same.expand(9, 3, 8, 9, 32).contiguous()
    x = images(2, 3, 9, 8)
    torch.testing.assert_close(layer(x), F.conv2d(x, kernel, padding=1), rtol=1e-4, atol=1e-5)


def test_readout_is_a_linear_layer_on_flattened_features() -> None:
    layer = Readout(4 * 6 * 5, 10)
    for x in (images(3, 4, 6, 5), images(6, 5, 3, 4).permute(2, 3, 0, 1)):
        found_x, plain_x = x.clone().requires_grad_(), x.clone().requires_grad_()
        plain = nn.Linear(4 * 6 * 5, 10)
        plain.load_state_dict(layer.state_dict())
        layer.zero_grad()
        found, expected = layer(found_x), plain(plain_x.flatten(1))
        torch.testing.assert_close(found, expected)
        for out in (found, expected):
            (out * out).sum().backward()
        torch.testing.assert_close(found_x.grad, plain_x.grad)
        torch.testing.assert_close(layer.weight.grad, plain.weight.grad)
        torch.testing.assert_close(layer.bias.grad, plain.bias.grad)


# ---------------------------------------------------------------- frequency space


@pytest.mark.parametrize("size", [(8, 8), (7, 5), (6, 9), (1, 4)], ids=str)
def test_spectrum_keeps_energy_and_is_invertible(size: tuple[int, int]) -> None:
    x = images(*size, 3, 2).double()
    spectrum = frequency.analyse(x)
    leaving = spectrum * fourier_basis.leave_factor(size, x.dtype, x.device)
    torch.testing.assert_close((spectrum * leaving).sum(), (x * x).sum())
    torch.testing.assert_close(frequency.synthesise(leaving, size), x)


@pytest.mark.parametrize("size", [(8, 8), (7, 5)], ids=str)
def test_spectrum_holds_the_values_of_numpy_fft(size: tuple[int, int]) -> None:
    x = images(*size).double()
    spectrum = frequency.analyse(x[:, :, None, None])
    scaled = spectrum * fourier_basis.kernel_factor(size, x.dtype, x.device)
    found = np.sort(np.hypot(*scaled[:, 0, :, 0].T.numpy()))
    # each frequency of a real image once: drop one of every pair (k, -k)
    full = np.abs(np.fft.fft2(x.numpy()))
    once = {
        min((ky, kx), (-ky % size[0], -kx % size[1])): full[ky, kx]
        for ky in range(size[0])
        for kx in range(size[1])
    }
    np.testing.assert_allclose(found, np.sort(list(once.values())), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("relu", [False, True])
def test_deep_net_equals_plain_layers_in_all_gradients(relu: bool) -> None:
    entry = Net(family="full-conv", deep=True, relu=relu)
    net = build_net(entry, input_shape=(3, 9, 8), classes=10, seed=0)
    twin = build_net(entry, input_shape=(3, 9, 8), classes=10, seed=0).double()
    x = images(4, 3, 9, 8)
    net(x).square().sum().backward()
    y = x.double()
    for layer in twin.hidden:
        y = F.conv2d(F.pad(y, (3, 4, 4, 4), mode="circular"), layer.weight, layer.bias)
        y = y.relu() if relu else y
    twin.readout(y.flatten(1)).square().sum().backward()
    for found, expected in zip(net.parameters(), twin.parameters(), strict=True):
        assert relative(found.grad, expected.grad) < TOLERANCE


# ---------------------------------------------------------------- frozen weights


def scale_data(layer: CircularConv2d) -> None:
    layer.weight.data.mul_(2)


def scale_in_place(layer: CircularConv2d) -> None:
    with torch.no_grad():
        layer.weight.mul_(2)


def replace_data(layer: CircularConv2d) -> None:
    layer.weight.data = layer.weight.data * 2


def load_state(layer: CircularConv2d) -> None:
    layer.load_state_dict({"weight": layer.weight * 2, "bias": layer.bias})


@pytest.mark.parametrize("change", [scale_data, scale_in_place, replace_data, load_state])
def test_kept_transform_follows_every_change(change: Callable[[CircularConv2d], None]) -> None:
    layer = circular(3, (8, 8), (8, 8)).requires_grad_(False)
    layer.bias.zero_()
    x = images(2, 3, 8, 8)
    before = layer(x)
    assert torch.equal(layer(x), before)
    change(layer)
    torch.testing.assert_close(layer(x), 2 * before)


def test_kept_transform_is_used_while_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = circular(3, (8, 8), (8, 8)).requires_grad_(False)
    calls = []
    original = frequency.kernel_matrix

    def counted(*args: object, **kwargs: object) -> Tensor:
        calls.append(1)
        return original(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(frequency, "kernel_matrix", counted)
    x = images(2, 3, 8, 8).requires_grad_()
    for _ in range(3):
        layer(x).sum().backward()
    assert len(calls) == 1


def test_what_is_kept_in_inference_mode_serves_gradients() -> None:
    fourier_basis.basis.cache_clear()
    fourier_basis.kernel_factor.cache_clear()
    layer = circular(3, (8, 8), (8, 8)).requires_grad_(False)
    x = images(2, 3, 8, 8)
    with torch.inference_mode():
        before = layer(x)
    z = x.clone().requires_grad_()
    assert torch.equal(layer(z).detach(), before)
    layer(z).sum().backward()
    learning = circular(3, (8, 8), (8, 8))
    learning(x).sum().backward()
    assert z.grad is not None
    assert learning.weight.grad is not None


def test_weights_thawed_after_freezing_are_learned_again() -> None:
    layer = circular(3, (8, 8), (8, 8)).requires_grad_(False)
    x = images(2, 3, 8, 8)
    layer(x)
    layer.requires_grad_(True)
    layer(x).sum().backward()
    assert layer.weight.grad is not None
