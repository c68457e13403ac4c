"""Large images: no result depends on the batch that an image is attacked in, bit for bit."""

import pytest
import torch
from attack_cases import attacked, brendel_bethge, frozen, pgd
from torch import Tensor, nn

from bench.attacks.base import total
from bench.steps.calibrate import StepChoice, calibrate, equal_pass, prepare
from bench.steps.step import GradientStep, margin_cotangent

SIDE = 128


class Net(nn.Module):
    """A small net for large images: strided convolutions, pooling, a read-out."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(
            nn.Conv2d(3, 16, 4, stride=4), nn.ReLU(), nn.Conv2d(16, 24, 3, padding=1), nn.ReLU()
        )
        self.head = nn.Linear(24 * 16, 10)

    def forward(self, images: Tensor) -> Tensor:
        features = nn.functional.adaptive_avg_pool2d(self.body(images), 4)
        logits: Tensor = self.head(features.flatten(1)) * 30
        return logits


@pytest.fixture(scope="module")
def case() -> tuple[nn.Module, Tensor, Tensor, Tensor]:
    model = frozen(Net())
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(11, 3, SIDE, SIDE, generator=generator)
    tint = torch.rand(11, 3, 1, 1, generator=generator)
    images = (0.3 * images + 0.7 * tint).clamp(0, 1)
    labels = model(images).argmax(1)
    other = [int((labels != label).nonzero()[0, 0]) for label in labels]
    return model, images, labels, images[other]


@pytest.mark.parametrize(
    "spec",
    [
        pgd("linf", epsilon=0.03, steps=5),
        pgd("l2", epsilon=2.0, steps=5),
        pgd("l1", epsilon=0.01, steps=5),
        brendel_bethge("linf", steps=5),
        brendel_bethge("l2", steps=5),
    ],
    ids=lambda spec: f"{spec.algorithm}-{spec.norm}",
)
def test_attacks_do_not_depend_on_the_batch(spec, case) -> None:
    model, images, labels, starts = case
    choice = calibrate(model, images, labels, rounds=1)
    assert choice.equal_passes
    assert choice.micro_batch == 8
    step = prepare(model, choice, images)

    def in_batches(sizes: list[int]) -> Tensor:
        parts, begin = [], 0
        for size in sizes:
            part = slice(begin, begin + size)
            given = starts[part] if spec.minimal else None
            parts.append(attacked(spec, model, images[part], labels[part], given, step=step))
            begin += size
        return torch.cat(parts)

    whole = in_batches([11])
    assert not torch.equal(whole, images)
    for sizes in ([8, 3], [1, 10]):
        assert torch.equal(in_batches(sizes), whole), sizes


def test_every_pass_is_full(case) -> None:
    _, images, labels, _ = case
    seen: list[int] = []

    class Watching(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            seen.append(len(images))
            return images.flatten(1)[:, :10] * 1.0

    step = GradientStep(Watching(), micro_batch=4, equal_passes=True)
    logits, gradient = step(images, labels, margin_cotangent)
    assert seen == [4, 4, 4]
    assert logits.shape == (11, 10)
    assert gradient.shape == images.shape
    assert torch.equal(step.logits(images), images.flatten(1)[:, :10])
    assert seen == [4] * 6
    assert step.logits(images[:0]).shape == (0, 10)


def test_calibration_times_one_pass(case) -> None:
    """Whatever the batch is, so that the question is the same one."""
    seen: set[int] = set()

    def timed(step: GradientStep, images: Tensor, labels: Tensor) -> float:
        seen.add(len(images))
        return 1.0

    model, images, labels, _ = case
    calibrate(model, images, labels, timer=timed)
    assert seen == {8}


def test_small_images_and_small_batches() -> None:
    assert equal_pass(torch.zeros(20, 3, 32, 32)) is None
    assert equal_pass(torch.zeros(20, 3, SIDE, SIDE)) == 8
    assert equal_pass(torch.zeros(5, 3, SIDE, SIDE)) == 5, "a batch of five is not filled up to 8"
    assert equal_pass(torch.zeros(0, 3, SIDE, SIDE)) is None
    assert not StepChoice().equal_passes


@pytest.mark.parametrize("size", [1, 784, 4096, 8191, 8192, 150528, 150529])
def test_total_is_the_sum_in_any_batch(size: int) -> None:
    values = torch.randn(6, size, generator=torch.Generator().manual_seed(size))
    found = total(values)
    expected = values.double().sum(1)
    assert (found - expected).abs().max() <= 1e-6 * values.abs().double().sum(1).max()
    for row in range(6):
        assert torch.equal(total(values[row : row + 1].clone())[0], found[row])
