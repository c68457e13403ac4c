"""What an attack is: a callable built from an :class:`~bench.entries.AttackSpec`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import final

import torch
from torch import Tensor, nn

from bench.entries.attacks import AttackSpec
from bench.steps.step import GradientStep

BLOCK = 4096
"""Values that are summed in one go, by one thread."""


class Attack(ABC):
    """An attack with its settings; it keeps no state between calls.

    Subclasses write `run`. Calling an attack checks what goes in and clips what comes out,
    so that an author cannot forget it; `bench.attacks.run` judges the result.

    Attributes:
        spec: all settings of the attack.
    """

    def __init__(self, spec: AttackSpec) -> None:
        self.spec = spec

    @final
    def __call__(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        starts: Tensor | None = None,
        *,
        step: GradientStep | None = None,
    ) -> Tensor:
        """Attack a batch and return the adversarial images.

        Args:
            model: images in [0, 1] -> (B, classes) logits; eval mode, parameters frozen.
            images: (B, C, H, W) float, clean images in [0, 1] on the model's device.
            labels: (B,) int64, the true classes.
            starts: (B, C, H, W) adversarial start images in [0, 1]; minimal attacks need them,
                the others take None.
            step: a faster way to run the same model (`bench.steps.calibrate`); None: plain.

        Returns:
            (B, C, H, W), dtype and device of `images`, in [0, 1]. NaN where the attack broke down.
        """
        assert images.ndim == 4, f"images must be (B, C, H, W), got {tuple(images.shape)}"
        assert labels.shape == images.shape[:1], f"labels must be (B,), got {tuple(labels.shape)}"
        assert (starts is not None) == self.spec.minimal, "starts belong to minimal attacks only"
        assert starts is None or starts.shape == images.shape, "starts must have the images' shape"
        if len(images) == 0:
            return images.clone()
        adversarial = self.run(step or GradientStep(model), images, labels, starts).detach()
        assert adversarial.shape == images.shape, f"{type(self).__name__} changed the shape"
        return adversarial.to(images.dtype).clamp(0, 1)

    @abstractmethod
    def run(
        self, step: GradientStep, images: Tensor, labels: Tensor, starts: Tensor | None
    ) -> Tensor:
        """Attack a batch that is not empty; arguments and result as in `__call__`, unclipped."""


def total(values: Tensor) -> Tensor:
    """Return the sums (B,) of (B, D) values; a row's sum is the same in any batch, bit for bit.

    PyTorch shares a long sum among its threads where it has but one to do, and rounds differently.
    """
    count = values.shape[1] // BLOCK
    if count < 2:
        return values.sum(1)
    blocks = values[:, : count * BLOCK].view(-1, count, BLOCK).sum(2).sum(1)
    return blocks + values[:, count * BLOCK :].sum(1)


def norms(perturbation: Tensor, norm: str) -> Tensor:
    """Return the norm of each sample's perturbation, summed in float64.

    Args:
        perturbation: (B, C, H, W) float, in [0, 1] pixel units.
        norm: "linf", "l2" or "l1" (l1 is the sum over all values, not a mean).

    Returns:
        (B,) float64.
    """
    flat = perturbation.flatten(1).double()
    order = {"linf": torch.inf, "l2": 2.0, "l1": 1.0}[norm]
    result: Tensor = torch.linalg.vector_norm(flat, ord=order, dim=1)
    return result


def logit_margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the largest other logit minus the label's logit: positive where fooled.

    Args:
        logits: (B, classes).
        labels: (B,) int64.

    Returns:
        (B,) in the logits' dtype.
    """
    own = logits.gather(1, labels[:, None])
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return others.amax(1) - own[:, 0]
