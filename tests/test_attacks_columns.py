"""The product form of a convolution's gradient is the convolution's gradient."""

import pytest
import torch
from attack_cases import frozen
from machines import machine
from torch import Tensor, nn

from bench.models.layers.layers import CircularConv2d
from bench.steps import calibrate as calibration
from bench.steps.calibrate import StepChoice, calibrate, prepare
from bench.steps.columns import column_gradient, narrow
from bench.steps.step import GradientStep, margin_cotangent


def circular(channels: int, kernel: tuple[int, int], size: tuple[int, int]) -> CircularConv2d:
    layer = CircularConv2d(channels, 6, kernel, size)
    torch.nn.init.normal_(layer.weight)
    torch.nn.init.normal_(layer.bias)
    return layer


def tensorflow_conv(kernel: int, stride: int) -> nn.Module:
    return pytest.importorskip("timm.layers").Conv2dSame(3, 5, kernel, stride)


LAYERS = {
    "one channel": lambda: nn.Conv2d(1, 4, 3),
    "padding, stride": lambda: nn.Conv2d(3, 8, 7, stride=2, padding=3, bias=False),
    "not square": lambda: nn.Conv2d(2, 4, (2, 5), stride=(1, 3), padding=(1, 2)),
    "dilation": lambda: nn.Conv2d(3, 4, 3, padding=2, dilation=2),
    "patches": lambda: nn.Conv2d(3, 12, 4, stride=4),
    "stride leaves pixels unread": lambda: nn.Conv2d(3, 4, 2, stride=5),
    "circular": lambda: circular(3, (3, 5), (17, 18)),
    "even circular": lambda: circular(1, (2, 4), (17, 18)),
    "same": lambda: tensorflow_conv(3, 2),
    "same, wide": lambda: tensorflow_conv(5, 3),
}


@pytest.mark.parametrize("name", LAYERS)
def test_value_and_gradient_are_pytorchs(name: str) -> None:
    torch.manual_seed(0)
    model = frozen(nn.Sequential(LAYERS[name]())).double()
    changed, layers = column_gradient(model)
    assert layers == 1
    assert not isinstance(changed[0], type(model[0])), "the copy has another layer"
    images = torch.rand(3, model[0].weight.shape[1], 17, 18, dtype=torch.float64)
    results = []
    for net in (model, changed):
        leaf = images.clone().requires_grad_()
        out = net(leaf)
        towards = torch.linspace(-1, 2, out.numel(), dtype=out.dtype).view_as(out).cos()
        results.append((out.detach(), torch.autograd.grad(out, leaf, towards)[0]))
    (value, gradient), (found, found_gradient) = results
    assert gradient.abs().max() > 0.1
    torch.testing.assert_close(found, value, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found_gradient, gradient, rtol=1e-12, atol=1e-12)


class Own(nn.Conv2d):
    """A convolution that does something else besides."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 1


def watched() -> nn.Module:
    layer = nn.Conv2d(3, 4, 3)
    layer.register_forward_hook(lambda *_: None)
    return layer


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(5, 4, 3),
        nn.Conv2d(2, 4, 3, groups=2),
        nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(3, 4, 3, padding="same"),
        Own(3, 4, 3),
        watched(),
        circular(3, (15, 15), (16, 16)),
        nn.Linear(3, 4),
    ],
)
def test_other_layers_stay(layer: nn.Module) -> None:
    model = frozen(nn.Sequential(layer))
    assert narrow(model) == []
    assert column_gradient(model) == (model, 0)


def test_a_layer_that_learns_stays() -> None:
    assert narrow(nn.Sequential(nn.Conv2d(3, 4, 3))) == []


def net() -> nn.Module:
    torch.manual_seed(0)
    return frozen(
        nn.Sequential(
            nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.Linear(1152, 10)
        )
    )


def test_the_callers_model_is_left_alone_and_shares_its_weights() -> None:
    model = net()
    changed, layers = column_gradient(model)
    assert layers == 1, "the second convolution has eight input channels"
    assert isinstance(model[0], nn.Conv2d)
    assert changed[2].weight.data_ptr() == model[2].weight.data_ptr()
    assert changed[0].weight.data_ptr() == model[0].weight.data_ptr()


def test_calibration_takes_it_where_it_pays() -> None:
    model, images, labels = net(), torch.rand(7, 1, 16, 16), torch.arange(7)
    assert not calibrate(model, images, labels, timer=machine(column=-0.1)).column_gradient
    choice = calibrate(model, images, labels, timer=machine(column=0.1))
    assert choice == StepChoice(column_gradient=True)
    expected = GradientStep(model)(images, labels, margin_cotangent)
    found = prepare(model, choice, images)(images, labels, margin_cotangent)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_calibration_refuses_a_wrong_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    def almost(model: nn.Module) -> tuple[nn.Module, int]:
        changed, layers = column_gradient(model)
        changed[0].rows.mul_(1 + 1e-6)
        return changed, layers

    monkeypatch.setattr(calibration, "column_gradient", almost)
    choice = calibrate(net(), torch.rand(7, 1, 16, 16), torch.arange(7), timer=machine(column=0.9))
    assert not choice.column_gradient


def test_a_description_without_it_is_that_of_the_plain_gradient() -> None:
    assert StepChoice(**{"fold_batchnorm": True}) == StepChoice(fold_batchnorm=True)
