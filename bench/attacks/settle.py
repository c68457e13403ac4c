"""Minimal attacks settle off the decision boundary.

float32 leaves the result of a minimal attack so close to the boundary that the same image counts
as fooled or not by the batch it is predicted in. So the perturbation grows by the smallest of a few
factors that puts the image clearly on the other side; norms and spectra are of what comes out here.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from bench.attacks.base import logit_margin

GROWTH = (0.0, 1e-5, 1e-4, 1e-3)
"""Candidates for s in delta <- clip((1 + s) delta), tried in this order."""
MARGIN = 1e-5
"""Margin to reach, relative to what the attack settles by: the sample's largest absolute logit, or
the spread of its logits, which a common offset of all logits does not change."""

By = Literal["largest logit", "spread"]


@torch.no_grad()
def settle(
    model: nn.Module,
    images: Tensor,
    adversarial: Tensor,
    labels: Tensor,
    by: By = "largest logit",
) -> Tensor:
    """Return adversarial images that are clearly on the other side, if a small growth can do it.

    A sample that no factor settles keeps the factor with the largest margin.

    Args:
        model: images in [0, 1] -> (B, classes) logits.
        images: (B, C, H, W) float32, clean images in [0, 1].
        adversarial: (B, C, H, W) float32 in [0, 1].
        labels: (B,) int64, the true classes.
        by: what the margin is relative to.

    Returns:
        (B, C, H, W) float32 in [0, 1].
    """
    delta = adversarial - images
    settled, best = adversarial.clone(), torch.full_like(labels, -torch.inf, dtype=torch.float64)
    open_ = torch.ones_like(labels, dtype=torch.bool)
    for growth in GROWTH:
        grown = adversarial if growth == 0 else (images + (1 + growth) * delta).clamp(0, 1)
        margin = relative_margin(model(grown), labels, by)
        better = open_ & (margin > best)
        settled[better] = grown[better]
        best = torch.where(better, margin, best)
        open_ &= ~(margin >= MARGIN)
        if not open_.any():
            break
    return settled


def relative_margin(logits: Tensor, labels: Tensor, by: By) -> Tensor:
    """Return the logit margin over the scale of the logits, (B,) float64."""
    if by == "spread":
        scale = logits.amax(1).double() - logits.amin(1).double()
    else:
        scale = logits.abs().amax(1).double()
    return logit_margin(logits, labels).double() / scale.clamp_min(torch.finfo(logits.dtype).tiny)
