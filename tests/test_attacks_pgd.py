"""This project's PGD is foolbox's."""

import pytest
import torch
from attack_cases import (
    BUDGETS,
    Constant,
    attacked,
    foolbox,
    frozen,
    pgd,
    predict,
    random_images,
    small_net,
)
from torch import nn

from bench.attacks.descent import TINY
from bench.attacks.pgd import PGD
from bench.errors import BenchError

NAMES = {"linf": "LinfPGD", "l2": "L2PGD", "l1": "L1PGD"}


def by_foolbox(
    net: nn.Module, spec: PGD, images: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    word = {"relative": "rel_stepsize", "absolute": "abs_stepsize"}[spec.step_scale]
    # an absolute step is measured as epsilon is: per value, if that is a mean
    per_value = spec.step_scale == "absolute" and spec.epsilon_scale == "mean"
    size = spec.step_size * images[0].numel() if per_value else spec.step_size
    attack = getattr(foolbox.attacks, NAMES[spec.norm])(
        **{word: size}, steps=spec.steps, random_start=False
    )
    fmodel = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
    budget = spec.budget(images[0].numel())
    return attack(fmodel, images, labels, epsilons=budget)[1]


@pytest.mark.parametrize("norm", list(BUDGETS))
@pytest.mark.parametrize("scale", ["relative", "absolute"])
@pytest.mark.parametrize("channels", [1, 3])
def test_equals_foolbox(norm: str, scale: str, channels: int) -> None:
    """In float64, where rounding does not decide the sign of a gradient."""
    net = small_net(channels=channels).double()
    images = random_images(16, channels).double()
    labels = predict(net, images)
    labels[:4] = (labels[:4] + 1) % 10  # some are misclassified from the start
    spec = pgd(norm, steps=60, step_scale=scale, step_size=0.1 if scale == "relative" else 0.02)
    mine = attacked(spec, net, images, labels)
    theirs = by_foolbox(net, spec, images, labels)
    assert (theirs - images).abs().max() > 1e-3
    torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-5)
    assert torch.equal(predict(net, mine) != labels, predict(net, theirs) != labels)


@pytest.mark.parametrize("norm", list(BUDGETS))
def test_float32_agrees_with_foolbox_over_few_steps(norm: str) -> None:
    net, images = small_net(), random_images(16)
    labels = predict(net, images)
    spec = pgd(norm, steps=5)
    mine = attacked(spec, net, images, labels)
    torch.testing.assert_close(mine, by_foolbox(net, spec, images, labels), rtol=0, atol=1e-5)


def test_sure_models_have_the_same_gradient_as_with_pytorchs_cross_entropy() -> None:
    """p = 1 up to rounding: the last bits of the loss gradient decide the sign step."""
    net = small_net(gain=12.0)
    images = random_images(32)
    labels = predict(net, images)
    spec = pgd("linf", steps=1)
    mine = attacked(spec, net, images, labels)
    leaf = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(
        nn.functional.cross_entropy(net(leaf), labels, reduction="sum"), leaf
    )
    assert gradient.flatten(1).abs().amax(1).min() < 1e-6, "the case must be hard"
    # (.8/255 from images that are not at the border)
    expected = (images + 0.1 * 8 / 255 * gradient.sign()).clamp(0, 1)
    assert ((mine - expected).abs() > 1e-6).float().mean() < 0.01


@pytest.mark.parametrize("norm", list(BUDGETS))
def test_one_step_on_a_linear_model_by_hand(norm: str) -> None:
    """Logits (0, w x): the gradient is proportional to w, so one step is w in the norm's ball."""
    w = torch.tensor([[3.0, -4.0], [0.0, 0.0]])
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    net[1].weight.data = torch.stack([torch.zeros(4), w.flatten()])
    net[1].bias.data = torch.zeros(2)
    images = torch.full((1, 1, 2, 2), 0.5)
    spec = pgd(norm, steps=1, epsilon=0.1, epsilon_scale="sum", step_size=0.5)
    delta = (attacked(spec, frozen(net), images, torch.tensor([0])) - images)[0, 0]
    by_hand = {
        "linf": torch.tensor([[0.05, -0.05], [0.0, 0.0]]),
        "l2": torch.tensor([[0.03, -0.04], [0.0, 0.0]]),
        "l1": torch.tensor([[0.05 * 3 / 7, -0.05 * 4 / 7], [0.0, 0.0]]),
    }[norm]
    torch.testing.assert_close(delta, by_hand, rtol=0, atol=1e-7)


def test_logits_without_gradient_are_the_users_error() -> None:
    class Detached(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.detach().flatten(1)[:, :2]

    with pytest.raises(BenchError, match="differentiated"):
        attacked(pgd("l2"), Detached().eval(), random_images(2), torch.zeros(2).long())


@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_a_tiny_gradient_is_scaled_as_foolbox_does(norm: str) -> None:
    """A gradient of norm 1e-13 is divided by 1e-12, not by its norm: a tenth of a step."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    net[1].weight.data = torch.tensor([[0.0] * 4, [1.2e-13, -1.6e-13, 0.0, 0.0]])
    net[1].bias.data = torch.zeros(2)
    frozen(net)
    images, labels = torch.full((3, 1, 2, 2), 0.5), torch.tensor([0, 1, 0])
    spec = pgd(norm, steps=1, epsilon=1.0, epsilon_scale="sum", step_size=0.5)
    mine = attacked(spec, net, images, labels) - images
    # softmax halves the gradient: (.6e-13, -.8e-13), of length 1e-13 (L2) or 1.4e-13 (L1)
    expected = 0.5 * torch.tensor([[0.06, -0.08], [0.0, 0.0]])
    torch.testing.assert_close(mine[0, 0], expected, rtol=1e-5, atol=1e-7)
    theirs = attacked(pgd(norm, "foolbox", **spec.model_dump(include=KEYS)), net, images, labels)
    torch.testing.assert_close(mine + images, theirs, rtol=0, atol=1e-7)


KEYS = {"steps", "epsilon", "epsilon_scale", "step_size"}


def test_without_gradient_the_image_stays() -> None:
    assert TINY == 1e-12
    images = torch.full((1, 1, 1, 1), 0.5)
    model = Constant([1.0, 0.0])
    assert torch.equal(attacked(pgd("l2"), model, images, torch.tensor([0])), images)
