"""What attacks share: what one gives back, norms, margins, sums that no batch changes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK = 4096
"""Values that are summed in one go, by one thread."""


@dataclass(frozen=True)
class Attacked:
    """What an attack gives back where images alone do not say how it went.

    Attributes:
        adversarial: (B, C, H, W) images; NaN where the attack broke down.
        stalled: (B,) bool, the attack could not take its steps: no usable gradient, or no walk
            improved on its start and the end is not stationary.
        nonfinite: (B,) bool, a gradient or logit on the way was NaN or infinite.
    """

    adversarial: Tensor
    stalled: Tensor
    nonfinite: Tensor


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
