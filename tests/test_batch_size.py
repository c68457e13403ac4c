"""The automatic batch size."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from bench.run import batch_size
from bench.run.batch_size import automatic_batch, free_memory, useful_batch

MIB = 2**20


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((1, 28, 28), 128), ((3, 32, 32), 128), ((3, 224, 224), 16), ((3, 384, 384), 5)],
)
def test_useful_batch_on_a_cpu(shape: tuple[int, int, int], expected: int) -> None:
    assert useful_batch(shape, "cpu") == expected
    assert useful_batch(shape, "cuda") >= expected


class Hungry(nn.Module):
    """Needs a fixed amount of memory an image, and dies where it is too much."""

    def __init__(self, dies_at: int | None = None) -> None:
        super().__init__()
        self.dies_at = dies_at
        self.seen: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(len(images))
        if self.dies_at is not None and len(images) >= self.dies_at:
            raise torch.OutOfMemoryError("no memory")
        return images.flatten(1)[:, :10]


@pytest.mark.parametrize(("free", "expected"), [(100, 5), (10000, 16), (1, 1)])
def test_batch_is_what_fits_into_half_of_the_free_memory(
    free: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Hungry()
    # 10 MiB an image: 105 MiB for one, 135 MiB for four
    monkeypatch.setattr(batch_size, "peak_memory", lambda device: (95 + 10 * model.seen[-1]) * MIB)
    monkeypatch.setattr(batch_size, "free_memory", lambda device: free * MIB)
    assert automatic_batch(model, torch.zeros(1, 3, 224, 224)) == expected
    assert model.seen == [1, 4]


def test_a_model_that_fits_one_image_only_does_not_kill_the_run() -> None:
    assert automatic_batch(Hungry(dies_at=2), torch.zeros(1, 3, 224, 224)) == 1


def test_small_images_are_not_probed() -> None:
    model = Hungry()
    assert automatic_batch(model, torch.zeros(1, 1, 28, 28)) == 128
    assert model.seen == []


def test_free_memory_is_told() -> None:
    assert free_memory(torch.device("cpu")) > 100 * MIB
