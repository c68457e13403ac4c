"""Statuses of searches that could not do their steps, and what a result may not depend on."""

import pytest
import torch
from attack_cases import Constant, frozen, other_class_starts, predict, random_images, small_net
from minimum_cases import distances, run
from torch import Tensor, nn

from bench.attacks.base import logit_margin
from bench.attacks.minimum.finish import MARGIN, settle
from bench.attacks.minimum.level import spread
from bench.attacks.minimum.minimise import minimise
from bench.attacks.minimum.options import Options
from bench.steps.step import GradientStep

NORMS = ["l2", "linf"]


class NanAtBlackCorner(nn.Module):
    """The same logits to the bit; the gradient of a black corner pixel is NaN (sqrt at 0)."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(x) + (x[:, :, 0, 0].sum(1).sqrt() * 0.0)[:, None]
        return logits


@pytest.mark.parametrize("norm", NORMS)
def test_a_nan_gradient_at_one_pixel_is_nonfinite(norm: str) -> None:
    net, images = small_net(), random_images(8)
    images[:3, :, 0, 0] = 0
    labels = predict(net, images)
    starts = other_class_starts(net, images)
    model = frozen(NanAtBlackCorner(net))
    found = minimise(GradientStep(model), images, labels, norm, starts=starts)
    assert found.status[:3] == ("nonfinite",) * 3
    assert set(found.status[3:]) == {"converged"}
    assert found.adversarial.isfinite().all()
    plain = run(net, images, labels, norm)
    torch.testing.assert_close(
        distances(found, images, norm)[3:], distances(plain, images, norm)[3:], rtol=1e-3, atol=0
    )


class NanOnTheWay(nn.Module):
    """Linear in the mean brightness; beyond 0.45 its gradient is NaN, its logits are not."""

    def forward(self, x: Tensor) -> Tensor:
        mean = x.flatten(1).mean(1)
        beyond = (mean > 0.45).float()
        broken = (0 * mean * beyond + (1 - beyond)).sqrt()  # 0 * inf in the backward pass
        return torch.stack([0.5 - mean, mean - 0.5 + 0 * broken], 1)


@pytest.mark.parametrize("norm", NORMS)
def test_a_nan_on_the_way_is_nonfinite(norm: str) -> None:
    images, starts = torch.full((2, 1, 4, 4), 0.3), torch.full((2, 1, 4, 4), 0.9)
    step = GradientStep(frozen(NanOnTheWay()))
    found = minimise(step, images, torch.zeros(2).long(), norm, starts=starts)
    assert found.status == ("nonfinite",) * 2


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("started", [False, True])
def test_zero_gradients_stall(norm: str, started: bool) -> None:
    net = small_net()

    class Rounds(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = net((x * 255).round() / 255)
            return logits

    model, images = frozen(Rounds()), random_images(6)
    labels = predict(model, images)
    starts = other_class_starts(model, images) if started else None
    found = minimise(GradientStep(model), images, labels, norm, starts=starts)
    assert found.status == ("stalled",) * 6
    assert ((predict(model, found.adversarial) != labels) == started).all()


def test_a_constant_model_stalls_and_gives_the_clean_image_back() -> None:
    images = random_images(3)
    found = run(frozen(Constant([1.0, 0.0])), images, torch.zeros(3).long(), "l2")
    assert found.status == ("stalled",) * 3
    assert torch.equal(found.adversarial, images)


@pytest.mark.parametrize("norm", NORMS)
def test_a_start_helps_where_the_clean_gradient_is_zero(norm: str) -> None:
    """Flat around the image, a slope further on: the walk from the start finds the boundary."""

    class Step(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            bright = x.flatten(1).mean(1)
            return torch.stack([0 * bright, (bright - 0.6).relu() - 0.1], 1)

    images, starts = torch.full((2, 1, 4, 4), 0.2), torch.rand(2, 1, 4, 4) * 0.1 + 0.9
    step = GradientStep(frozen(Step()))
    found = minimise(step, images, torch.zeros(2).long(), norm, starts=starts)
    assert found.status == ("converged",) * 2
    expected = {"l2": 0.5 * 4, "linf": 0.5}[norm]  # the mean has to rise from .2 to .7
    assert distances(found, images, norm).tolist() == pytest.approx([expected] * 2, rel=3e-3)


def test_an_image_that_is_wrong_already_is_its_own_minimum() -> None:
    net, images = small_net(), random_images(3)
    labels = predict(net, images)
    labels[1] = (labels[1] + 1) % 10
    found = run(net, images, labels, "l2")
    assert found.reason[1] == "clean"
    assert found.status[1] == "converged"
    assert torch.equal(found.adversarial[1], images[1])
    assert (distances(found, images, "l2")[[0, 2]] > 0).all()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("batch", [1, 7])
def test_results_do_not_depend_on_the_batch(norm: str, batch: int) -> None:
    net, images = small_net(size=12), random_images(21, size=12)
    labels = predict(net, images)
    together = distances(run(net, images, labels, norm), images, norm)
    parts = [
        distances(run(net, images[k : k + batch], labels[k : k + batch], norm),
                  images[k : k + batch], norm)
        for k in range(0, 21, batch)
    ]  # fmt: skip
    assert ((torch.cat(parts) / together - 1).abs() < 1e-3).double().mean() >= 0.99


@pytest.mark.parametrize("norm", NORMS)
def test_passes_of_the_step_do_not_matter(norm: str) -> None:
    net, images = small_net(), random_images(9)
    labels = predict(net, images)
    whole = distances(run(net, images, labels, norm), images, norm)
    step = GradientStep(net, micro_batch=4, equal_passes=True)
    parts = distances(minimise(step, images, labels, norm), images, norm)
    torch.testing.assert_close(parts, whole, rtol=1e-3, atol=0)


@pytest.mark.parametrize("norm", NORMS)
def test_the_same_batch_gives_the_same_bits(norm: str) -> None:
    net, images = small_net(), random_images(8)
    labels = predict(net, images)
    first, second = (run(net, images, labels, norm) for _ in range(2))
    assert torch.equal(first.adversarial, second.adversarial)
    assert first.reason == second.reason
    assert torch.equal(first.gradients_per_image, second.gradients_per_image)


def test_no_images_give_no_results() -> None:
    found = run(small_net(), random_images(0), torch.zeros(0).long(), "l2")
    assert found.adversarial.shape == (0, 1, 8, 8)
    assert found.status == ()


@pytest.mark.parametrize("norm", NORMS)
def test_settled_by_the_spread_of_the_logits(norm: str) -> None:
    net, images = small_net(), random_images(20)
    labels = predict(net, images)
    found = run(net, images, labels, norm)
    with torch.no_grad():
        logits = net(found.adversarial)
    margin = logit_margin(logits, labels) / spread(logits)
    grown = 0.9e-3 * logit_margin(net(images), labels).abs() / spread(logits)
    assert (margin >= torch.minimum(torch.tensor(0.99 * MARGIN), grown)).all()


def test_settling_by_hand() -> None:
    """Logits (c, c + slope (x - 3/4)): growing delta = 1/4 by s moves the margin by slope s / 4."""

    class OnePixel(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            bright = x.flatten(1)[:, 0]
            return torch.stack([0 * bright, bright - 0.75, 0 * bright - 1.0], 1)

    settled = settle(
        GradientStep(OnePixel()), torch.full((1, 1, 1, 1), 0.5), torch.full((1, 1, 1, 1), 0.75),
        torch.tensor([0]),
    )  # fmt: skip
    # the spread is 1: 1e-5 needs a growth of 4e-5, the next in the list is 1e-4
    assert settled.item() - 0.5 == pytest.approx(0.25 * (1 + 1e-4), rel=5e-7)


@pytest.mark.parametrize("norm", NORMS)
def test_never_worse_than_the_nearest_start_walk(norm: str) -> None:
    from attack_cases import brendel_bethge

    from bench.attacks.run import attack_batch

    net, images = small_net(seed=4, gain=2.0, size=12), random_images(30, size=12, seed=9)
    labels = predict(net, images)
    starts = other_class_starts(net, images)
    spec = brendel_bethge(norm, steps=300, nearest_starts=3)
    walk = attack_batch(net, spec, images, labels, starts)
    walked = torch.linalg.vector_norm(
        (walk.adversarial - images).flatten(1).double(), {"l2": 2, "linf": torch.inf}[norm], dim=1
    )
    ratio = distances(run(net, images, labels, norm, **vars(Options())), images, norm) / walked
    assert ratio.mean() <= 1.0005
    assert (ratio > 1.01).double().mean() <= 0.01
