"""What is done to images while a net is trained: noise, or steps up the loss."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.training.job import Inputs


@dataclass(frozen=True)
class Noise:
    """Gaussian noise, cut at the box."""

    sigma: float = 0.1

    def describe(self) -> dict[str, Any]:
        """Return its settings."""
        return {"defence": "noise", **asdict(self)}

    def change(
        self, net: nn.Module, images: Tensor, labels: Tensor, draws: torch.Generator
    ) -> Tensor:
        """Add it; see `Inputs`."""
        noise = torch.randn(images.shape, generator=draws).to(images)
        return (images + self.sigma * noise).clamp_(0, 1)


@dataclass(frozen=True)
class PgdL2:
    """Adversarial training (Madry et al. 2018) in an L2 ball: normalised steps up the loss."""

    epsilon: float = 0.5
    steps: int = 5
    step_size: float = 0.15

    def describe(self) -> dict[str, Any]:
        """Return its settings."""
        return {"defence": "pgd-l2", **asdict(self)}

    def change(
        self, net: nn.Module, images: Tensor, labels: Tensor, draws: torch.Generator
    ) -> Tensor:
        """Return images that the net gets wrong, if it can be had within the ball; see `Inputs`."""
        delta = torch.zeros_like(images)
        for _ in range(self.steps):
            leaf = (images + delta).requires_grad_()
            loss = F.cross_entropy(net(leaf), labels, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, leaf)
            delta = delta + self.step_size * gradient / _norms(gradient)
            delta = delta * (self.epsilon / _norms(delta)).clamp(max=1)
            delta = (images + delta).clamp_(0, 1) - images
        return images + delta


def _norms(values: Tensor) -> Tensor:
    """Return the L2 norm of each image, (B, 1, 1, 1), never 0."""
    lengths: Tensor = values.flatten(1).norm(dim=1).clamp_min(1e-12)
    return lengths[:, None, None, None]


DEFENCES: dict[str, Inputs | None] = {"none": None, "noise": Noise(), "pgd-l2": PgdL2()}
"""Factor value -> what it does."""
