"""delta <- clip((1 + s) delta) for the smallest s that leaves the boundary (design.md)."""

import pytest
import torch
from attack_cases import Constant, Linear, predict, random_images, small_net

from bench.attacks.base import logit_margin
from bench.attacks.settle import settle


def one_pixel_model(slope: float, boundary: float) -> Linear:
    """Logits (1, 1 + slope * (x - boundary)): class 1 from `boundary` on, largest logit near 1."""
    return Linear(torch.tensor([[0.0], [slope]]), torch.tensor([1.0, 1.0 - slope * boundary]))


def image(value: float) -> torch.Tensor:
    return torch.full((1, 1, 1, 1), value)


ZERO = torch.tensor([0])


@pytest.mark.parametrize(
    ("slope", "growth"),
    # delta = 1/4 ends on the boundary, so growing by s moves the logit by slope * s / 4;
    # the smallest of 1e-5, 1e-4, 1e-3 that makes this at least 1e-5 is, by hand:
    [(32.0, 1e-5), (1.0, 1e-4), (0.125, 1e-3)],
)
def test_smallest_sufficient_growth(slope: float, growth: float) -> None:
    model = one_pixel_model(slope, boundary=0.75)
    settled = settle(model, image(0.5), image(0.75), ZERO)
    assert settled.item() - 0.5 == pytest.approx(0.25 * (1 + growth), rel=5e-7)


def test_clear_result_is_left_alone() -> None:
    model = one_pixel_model(1.0, boundary=0.75)
    clear = image(0.76)
    assert torch.equal(settle(model, image(0.5), clear, ZERO), clear)


def test_growth_is_clipped_to_the_image_range() -> None:
    model = one_pixel_model(1.0, boundary=1.0)
    settled = settle(model, image(0.5), image(1.0), ZERO)
    assert settled.item() == 1.0


def test_without_any_sufficient_growth_the_largest_margin_is_kept() -> None:
    model = one_pixel_model(1e-3, boundary=0.75)
    settled = settle(model, image(0.5), image(0.75), ZERO)
    assert settled.item() - 0.5 == pytest.approx(0.25 * 1.001, rel=5e-7)


def test_samples_settle_on_their_own() -> None:
    model = one_pixel_model(1.0, boundary=0.75)
    images = torch.cat([image(0.5), image(0.5), image(0.25)])
    reached = torch.cat([image(0.75), image(0.9), image(0.75)])
    settled = settle(model, images, reached, torch.zeros(3, dtype=torch.int64)).flatten()
    assert (settled[0] - 0.5).item() == pytest.approx(0.25 * 1.0001, rel=5e-7)
    assert settled[1].item() == pytest.approx(0.9, rel=1e-7)
    assert (settled[2] - 0.25).item() == pytest.approx(0.5 * 1.0001, rel=5e-7)


def test_constant_model_changes_nothing() -> None:
    images, reached = image(0.5), image(0.75)
    settled = settle(Constant([1.0, 0.0]), images, reached, ZERO)
    assert torch.equal(settled, reached)


def test_points_on_the_boundary_are_settled_whatever_the_batch() -> None:
    """Bisected boundary points of a net lie within float32 rounding of the boundary."""
    net = small_net()
    images, others = random_images(160, seed=3), random_images(160, seed=4)
    labels = predict(net, images)
    fooled = predict(net, others) != labels
    images, others, labels = images[fooled], others[fooled], labels[fooled]
    low, high = torch.zeros(len(images)), torch.ones(len(images))
    for _ in range(40):
        middle = (low + high) / 2
        other = predict(net, torch.lerp(images, others, middle[:, None, None, None])) != labels
        low, high = torch.where(other, low, middle), torch.where(other, middle, high)
    reached = torch.lerp(images, others, high[:, None, None, None])
    settled = settle(net, images, reached, labels)
    growth = (settled - images).flatten(1).norm(dim=1) / (reached - images).flatten(1).norm(dim=1)
    assert (growth <= 1 + 1.001e-3).all()
    spent = growth > 1 + 0.99e-3
    assert spent.float().mean() < 0.2, "few samples run along the boundary"
    with torch.no_grad():
        for batch in (1, 7, len(images)):
            logits = torch.cat([net(part) for part in settled.split(batch)])
            margin = logit_margin(logits, labels)
            assert (margin > 0).all()
            assert ((margin > 0.9e-5 * logits.abs().amax(1)) | spent).all()
