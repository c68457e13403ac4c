"""Minimal attacks settle off the decision boundary.

float32 leaves the result of a minimal attack so close to the boundary that the same image counts
as fooled or not by the batch it is predicted in. So the perturbation grows by the smallest of a few
factors that puts the image clearly on the other side; norms and spectra are of what comes out here.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.attacks.base import logit_margin

GROWTH = (0.0, 1e-5, 1e-4, 1e-3)
"""Candidates for s in delta <- clip((1 + s) delta), tried in this order."""
MARGIN = 1e-5
"""Margin to reach, relative to the largest absolute logit of the sample."""


@torch.no_grad()
def settle(model: nn.Module, images: Tensor, adversarial: Tensor, labels: Tensor) -> Tensor:
    """Return adversarial images that are clearly on the other side, if a small growth can do it.

    A sample that no factor settles keeps the factor with the largest margin.

    Args:
        model: images in [0, 1] -> (B, classes) logits.
        images: (B, C, H, W) float32, clean images in [0, 1].
        adversarial: (B, C, H, W) float32 in [0, 1].
        labels: (B,) int64, the true classes.

    Returns:
        (B, C, H, W) float32 in [0, 1].
    """
    delta = adversarial - images
    settled, best = adversarial.clone(), torch.full_like(labels, -torch.inf, dtype=torch.float64)
    open_ = torch.ones_like(labels, dtype=torch.bool)
    for growth in GROWTH:
        grown = adversarial if growth == 0 else (images + (1 + growth) * delta).clamp(0, 1)
        margin = _relative_margin(model(grown), labels)
        better = open_ & (margin > best)
        settled[better] = grown[better]
        best = torch.where(better, margin, best)
        open_ &= ~(margin >= MARGIN)
        if not open_.any():
            break
    return settled


def _relative_margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the logit margin over the largest absolute logit, (B,) float64."""
    scale = logits.abs().amax(1).double()
    return logit_margin(logits, labels).double() / scale.clamp_min(torch.finfo(logits.dtype).tiny)
