"""Small models and specs that the tests of attacks share."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from bench.attacks.brendel_bethge.settings import BrendelBethge
from bench.attacks.pgd import PGD
from bench.attacks.run import perturb
from bench.entries.attacks import AttackSettings
from bench.steps.step import GradientStep

with warnings.catch_warnings():
    # foolbox 3.3.4 imports from a name that scipy deprecates
    warnings.simplefilter("ignore", DeprecationWarning)
    import foolbox

__all__ = ["foolbox"]

BUDGETS: dict[str, dict[str, Any]] = {
    "linf": {"epsilon": 8 / 255, "steps": 20},
    "l2": {"epsilon": 2.0, "steps": 20},
    "l1": {"epsilon": 0.1, "epsilon_scale": "mean", "steps": 20},
}


def pgd(norm: str, implementation: str = "bench", **changes: Any) -> PGD:
    """Return Table 10's PGD of a norm with few steps."""
    keys = {"algorithm": "pgd", "norm": norm, "step_size": 0.1, "version": 1}
    return PGD(**{**keys, **BUDGETS[norm], "implementation": implementation, **changes})


def brendel_bethge(norm: str, implementation: str = "bench", **changes: Any) -> BrendelBethge:
    """Return Table 10's Brendel-Bethge attack of a norm with fewer steps."""
    keys = {"algorithm": "brendel-bethge", "norm": norm, "learning_rate": 1e-3, "version": 1}
    return BrendelBethge(**{**keys, "steps": 100, "implementation": implementation, **changes})


def attacked(
    settings: AttackSettings,
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    starts: Tensor | None = None,
    *,
    step: GradientStep | None = None,
) -> Tensor:
    """Return the adversarial images alone."""
    return perturb(settings, model, images, labels, starts, step=step).adversarial


def frozen(model: nn.Module) -> nn.Module:
    """Return the model in eval mode with frozen parameters."""
    return model.eval().requires_grad_(False)


def small_net(
    seed: int = 0, channels: int = 1, size: int = 8, classes: int = 10, gain: float = 3.0
) -> nn.Module:
    """Return a random conv + ReLU + linear net with logits that differ between images."""
    generator = torch.Generator().manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(channels, 8, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * (size - 2) ** 2, classes),
    )
    for parameter in net.parameters():
        fan_in = parameter[0].numel() if parameter.ndim > 1 else 8
        parameter.data = torch.randn(parameter.shape, generator=generator) * gain / fan_in**0.5
    return frozen(net)


def random_images(count: int, channels: int = 1, size: int = 8, seed: int = 1) -> Tensor:
    """Return (count, channels, size, size) float32 images in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, channels, size, size, generator=generator)


def predict(model: nn.Module, images: Tensor) -> Tensor:
    """Return (B,) classes."""
    with torch.no_grad():
        return model(images).argmax(1)


def other_class_starts(model: nn.Module, images: Tensor, seed: int = 2) -> Tensor:
    """Return for each image a random image that the model gives another class."""
    pool = random_images(200, images.shape[1], images.shape[2], seed)
    labels, classes = predict(model, images), predict(model, pool)
    return torch.stack([pool[int((classes != label).int().argmax())] for label in labels])


class Linear(nn.Module):
    """logits = W x + b on flattened images, with given numbers."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = nn.Parameter(bias, requires_grad=False)

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weight.T + self.bias


class Constant(nn.Module):
    """The same logits for every image, with a gradient of zero."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.register_buffer("logits", torch.tensor(logits))
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        return self.logits + 0 * images.flatten(1).sum(1, keepdim=True)
