"""The last steps of a search, forward passes only: onto the boundary, then off it for good."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.attacks.base import logit_margin
from bench.attacks.minimum.level import resolution, spread
from bench.attacks.minimum.room import IMAGES, Room
from bench.steps.step import GradientStep

GROWTH = (1e-6, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
"""How far a point that falls short is grown until it is adversarial."""
SHRINK = 1e-2
"""An adversarial point is shrunk at most by this share."""
POSITIONS = 4
TINY = 2e-5
"""Share of the clean image's margin to aim beyond the boundary where settling grows the point."""
SETTLE = (0.0, 1e-5, 1e-4, 1e-3)
"""Candidates for s in delta <- clip((1 + s) delta), tried in this order."""
MARGIN = 1e-5
"""Margin to settle at, relative to the spread of the sample's logits."""


def grow(
    step: GradientStep, x0: Tensor, delta: Tensor, labels: Tensor, room: Room = IMAGES
) -> tuple[Tensor, Tensor]:
    """Return points (B, C, H, W) grown by the least factor that fools, and if any did (B,).

    Args:
        step: the model.
        x0: (B, C, H, W) clean images; delta: the same shape, perturbations.
        labels: (B,) int64.
        room: where perturbations may lie.
    """
    found, fooled = delta.clone(), torch.zeros_like(labels, dtype=torch.bool)
    for growth in (0.0, *GROWTH):
        grown = room.inside(x0 + (1 + growth) * delta) - x0
        new = ~fooled & (logit_margin(step.logits(room.inside(x0 + grown)), labels) > 0)
        found = torch.where(_per_image(new, delta), grown, found)
        fooled |= new
        if bool(fooled.all()):
            break
    return found, fooled


def shrink(
    step: GradientStep, x0: Tensor, delta: Tensor, labels: Tensor, beyond: Tensor,
    room: Room = IMAGES,
) -> Tensor:  # fmt: skip
    """Return adversarial perturbations shrunk towards the boundary, by false position.

    Args:
        step: the model.
        x0: (B, C, H, W) clean images; delta: the same shape, adversarial perturbations.
        labels: (B,) int64.
        beyond: (B,) margin to be left, small.
        room: where perturbations may lie.
    """

    def margin(share: Tensor) -> Tensor:
        x = room.inside(x0 + _per_image(share, delta) * delta)
        return logit_margin(step.logits(x), labels)

    high = torch.ones_like(beyond)
    low = high - SHRINK
    above, below = margin(high), margin(low)
    # where even the shortest is adversarial, that one is taken
    high, above = torch.where(below > 0, low, high), torch.where(below > 0, below, above)
    for _ in range(POSITIONS):
        share = ((beyond - below) / (above - below)).nan_to_num(1.0).clamp(0.02, 1.0)
        middle = torch.where(below > 0, high, low + share * (high - low))
        there = margin(middle)
        fooled = there >= beyond
        low, below = torch.where(fooled, low, middle), torch.where(fooled, below, there)
        high, above = torch.where(fooled, middle, high), torch.where(fooled, there, above)
    return room.inside(x0 + _per_image(high, delta) * delta) - x0


def settle(
    step: GradientStep, images: Tensor, adversarial: Tensor, labels: Tensor, room: Room = IMAGES
) -> Tensor:
    """Return adversarial images that are clearly on the other side, if a small growth can do it.

    The rule of the min-* attacks: the smallest factor whose margin is at least `MARGIN` of the
    logits' spread, which a constant added to all logits leaves as it is, and no less than the
    logits' float resolves. A sample that no factor settles keeps the factor with the largest
    margin.

    Args:
        step: the model's own step.
        images: (B, C, H, W) float32, clean images in [0, 1]; adversarial: the same shape.
        labels: (B,) int64, the true classes.
        room: where perturbations may lie.

    Returns:
        (B, C, H, W) float32 in the room.
    """
    delta = adversarial - images
    settled, best = adversarial.clone(), torch.full_like(labels, -torch.inf, dtype=torch.float64)
    open_ = torch.ones_like(labels, dtype=torch.bool)
    for growth in SETTLE:
        grown = adversarial if growth == 0 else room.inside(images + (1 + growth) * delta)
        logits = step.logits(grown)
        unit = spread(logits).double().clamp_min(torch.finfo(logits.dtype).tiny)
        margin = logit_margin(logits, labels).double() / unit
        better = open_ & (margin > best)
        settled = torch.where(_per_image(better, settled), grown, settled)
        best = torch.where(better, margin, best)
        open_ &= ~(margin >= MARGIN)
        if not bool(open_.any()):
            break
    return settled


def goal(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the margin (B,) to aim at beyond the boundary.

    A little more than settling asks for, if its largest growth could give that; else next to
    nothing, for settling will grow the point by that much anyway. Never less than the logits' float
    resolves.

    Args:
        logits: (B, classes) of the clean images, as the model gives them.
        labels: (B,) int64.
    """
    way, asked = logit_margin(logits, labels).abs(), 1.2 * MARGIN * spread(logits)
    aim = torch.where(asked <= SETTLE[-1] * way, asked, TINY * way)
    return torch.maximum(aim, resolution(logits))


def _per_image(values: Tensor, like: Tensor) -> Tensor:
    return values.view(-1, *[1] * (like.ndim - 1))
