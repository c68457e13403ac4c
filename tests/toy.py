"""Small models and jobs for tests of the harness."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from bench.attacks.brendel_bethge.settings import BrendelBethge
from bench.attacks.pgd import PGD as PgdSettings
from bench.data.arrays import ArrayImages
from bench.measure.job import Job

PGD = PgdSettings(norm="l2", steps=10, epsilon=1.0, step_size=0.1, version=1)
BB = BrendelBethge(norm="l2", steps=10, learning_rate=1e-3, version=1)


class Constant(nn.Module):
    """Gives every image the same logits; its gradient is exactly zero."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.register_buffer("logits", torch.tensor(logits))

    def forward(self, images: Tensor) -> Tensor:
        return self.logits + 0.0 * images.flatten(1).sum(1, keepdim=True)


def linear(classes: int = 3, size: int = 8, seed: int = 0) -> nn.Module:
    """A frozen linear classifier of 1 x size x size images."""
    generator = torch.Generator().manual_seed(seed)
    layer = nn.Linear(size * size, classes)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(classes, size * size, generator=generator))
        layer.bias.zero_()
        layer.bias -= layer.weight.sum(1) / 2
    return nn.Sequential(nn.Flatten(), layer).eval().requires_grad_(False)


def job(model: nn.Module, *, count: int = 40, classes: int = 3, batch: int = 16) -> Job:
    """A job on random gray 8 x 8 images; labels are the linear model's own, but for every fifth."""
    pixels = np.random.default_rng(1).integers(0, 256, (count, 8, 8), dtype=np.uint8)
    with torch.no_grad():
        logits = linear(classes)(torch.from_numpy(pixels[:, None]).float() / 255)
    labels = logits.argmax(1).numpy().astype(np.int64)
    labels[::5] = (labels[::5] + 1) % classes
    return Job(
        model_name="toy",
        model=model,
        images=ArrayImages(np.arange(count), labels, "toy", pixels),
        transform=None,
        attacks={"pgd-l2": PGD, "bb-l2": BB},
        pool_ids=tuple(range(count)),
        seed=7,
        classes=classes,
        device=torch.device("cpu"),
        batch_size=batch,
    )
