"""Faster ways to run a model give the same numbers."""

import copy

import pytest
import torch
from attack_cases import attacked, frozen, pgd, predict, small_net
from step_cases import IMAGES, LABELS, Mixing, plain, residual
from torch import nn

from bench.attacks.base import logit_margin
from bench.entries.model import Net
from bench.models.nets import build_net
from bench.steps.calibrate import StepChoice, prepare
from bench.steps.fold import fold_batchnorm
from bench.steps.pack import pack_linear
from bench.steps.step import GradientStep, cross_entropy_cotangent, margin_cotangent

CHOICES = [
    StepChoice(fold, last, micro_batch=micro)
    for fold in (False, True)
    for last in (False, True)
    for micro in (None, 4, 64)
]


@pytest.mark.parametrize("choice", CHOICES)
def test_choices_give_pytorchs_logits_and_gradient(choice: StepChoice) -> None:
    model = residual(tapped=False)
    step = prepare(model, choice, IMAGES)
    logits, gradient = step(IMAGES, LABELS, cross_entropy_cotangent)
    expected = plain(model, IMAGES, LABELS)
    torch.testing.assert_close(logits, expected[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(gradient, expected[1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(step.logits(IMAGES), expected[0], rtol=1e-4, atol=1e-5)
    assert gradient.is_contiguous()


def test_margin_cotangent_is_the_derivative_of_the_margin() -> None:
    net = small_net(channels=3)
    leaf = IMAGES.clone().requires_grad_()
    margin = -logit_margin(net(leaf), LABELS)
    (expected,) = torch.autograd.grad(margin.sum(), leaf)
    _, gradient = GradientStep(net)(IMAGES, LABELS, margin_cotangent)
    torch.testing.assert_close(gradient, expected)


def test_folding_is_exact() -> None:
    model = residual(tapped=False).double()
    folded, pairs = fold_batchnorm(model, IMAGES.double())
    assert pairs == 2
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    torch.testing.assert_close(folded(IMAGES.double()), model(IMAGES.double()))
    assert isinstance(model.norm, nn.BatchNorm2d), "the caller's model is left alone"


def test_folding_timms_norm_with_activation() -> None:
    timm_layers = pytest.importorskip("timm.layers")
    torch.manual_seed(0)
    norm = timm_layers.BatchNormAct2d(4, act_layer=nn.ReLU6)
    norm.running_mean.normal_(0, 0.3)
    norm.running_var.uniform_(0.3, 3.0)
    model = frozen(nn.Sequential(nn.Conv2d(3, 4, 3), norm, nn.Flatten()))
    folded, pairs = fold_batchnorm(model, IMAGES)
    assert pairs == 1
    torch.testing.assert_close(folded(IMAGES), model(IMAGES), rtol=1e-5, atol=1e-5)


def test_packed_linear_layers_are_linear_layers() -> None:
    torch.manual_seed(0)
    model, images = frozen(Mixing()), torch.rand(7, 3, 64, 64)
    packed, layers = pack_linear(model)
    assert layers == 2, "the head is too small to gain"
    assert type(model.tokens) is nn.Linear, "the caller's model is left alone"
    assert packed.channels.weight.data_ptr() == model.channels.weight.data_ptr()
    for one, two in zip(
        GradientStep(packed)(images, LABELS[:7], cross_entropy_cotangent),
        plain(model, images, LABELS[:7]),
        strict=True,
    ):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6)
    assert pack_linear(copy.deepcopy(model).double())[1] == 0, "float32 only"
    watched = copy.deepcopy(model)
    watched.tokens.register_forward_hook(lambda *_: None)
    assert pack_linear(watched)[1] == 1


@pytest.mark.parametrize("name", ["full-conv", "locally-connected", "local-conv"])
@pytest.mark.parametrize("relu", [False, True])
def test_packed_nets_of_the_zoo_are_the_nets(name: str, relu: bool) -> None:
    net = build_net(
        Net(family=name, deep=False, relu=relu), input_shape=(3, 9, 8), classes=10, seed=1
    )
    model, images = frozen(net), torch.rand(5, 3, 9, 8)
    packed, layers = pack_linear(model)
    assert layers == 1, "the read-out has 10 outputs, but many inputs"
    for _ in range(2):  # the first call lays the weights out
        found = GradientStep(packed)(images, LABELS[:5], cross_entropy_cotangent)
        expected = plain(copy.deepcopy(model).double(), images.double(), LABELS[:5])
        for one, two in zip(found, expected, strict=True):
            torch.testing.assert_close(one, two.float(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("choice", [c for c in CHOICES if c.micro_batch == 4])
def test_attacks_succeed_alike_with_any_choice(choice: StepChoice) -> None:
    model = residual(tapped=False).double()
    images = IMAGES.double()
    labels = predict(model, images)
    attack = pgd("l2", epsilon=0.3)
    expected = attacked(attack, model, images, labels)
    found = attacked(attack, model, images, labels, step=prepare(model, choice, images))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_preparing_leaves_the_model_alone() -> None:
    model = residual(tapped=False)
    before = copy.deepcopy(model.state_dict())
    prepare(model, StepChoice(True, True, micro_batch=2), IMAGES)(
        IMAGES, LABELS, cross_entropy_cotangent
    )
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert model.conv.weight.is_contiguous()
