"""Nearest starts with passes of every size: what belongs to a sample is cut with the pass."""

import pytest
import torch
from attack_cases import (
    attacked,
    brendel_bethge,
    frozen,
    other_class_starts,
    predict,
    random_images,
    small_net,
)
from torch import Tensor, nn

from bench.attacks.base import norms
from bench.attacks.brendel_bethge.nearest import nearest_starts
from bench.attacks.brendel_bethge.trust_region_l2 import solve_l2
from bench.steps.step import GradientStep, difference_cotangent


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("equal", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 9, 12])
def test_passes_of_every_size_give_the_same_minimum(size: int, equal: bool, norm: str) -> None:
    net, images = small_net(size=28), random_images(9, size=28)
    labels, starts = predict(net, images), other_class_starts(net, images)
    attack = brendel_bethge(norm, steps=10, nearest_starts=2)
    whole = attacked(attack, net, images, labels, starts)
    step = GradientStep(net, micro_batch=size, equal_passes=equal)
    found = attacked(attack, net, images, labels, starts, step=step)
    torch.testing.assert_close(
        norms(found - images, norm), norms(whole - images, norm), rtol=1e-3, atol=0
    )


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_large_images_in_small_passes(size: int) -> None:
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(3, 6, 8, stride=8), nn.ReLU(), nn.Flatten())
    net = frozen(nn.Sequential(body, nn.Linear(6 * 28 * 28, 7)))
    images = random_images(5, channels=3, size=224)
    labels = predict(net, images)
    whole = nearest_starts(GradientStep(net), images, labels, 3, solve_l2)
    parts = nearest_starts(GradientStep(net, micro_batch=size), images, labels, 3, solve_l2)
    assert any(fooled.any() for _, fooled in whole)
    for (points, fooled), (points_of_parts, fooled_of_parts) in zip(whole, parts, strict=True):
        assert torch.equal(fooled, fooled_of_parts)
        torch.testing.assert_close(points, points_of_parts, rtol=1e-4, atol=1e-5)


def test_each_sample_gets_its_own_targets_gradient() -> None:
    """Against autograd of the difference itself, sample by sample."""
    net, images = small_net(), random_images(7)
    labels, targets = torch.arange(7), (torch.arange(7) + 3) % 10
    step = GradientStep(net, micro_batch=3, equal_passes=True)
    _, gradients = step(images, labels, difference_cotangent, targets)
    for k in range(7):
        leaf = images[k : k + 1].clone().requires_grad_()
        logits: Tensor = net(leaf)[0]
        (expected,) = torch.autograd.grad(logits[labels[k]] - logits[targets[k]], leaf)
        torch.testing.assert_close(gradients[k], expected[0], rtol=1e-4, atol=1e-6)
