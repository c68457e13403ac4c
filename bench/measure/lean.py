"""Perturbations in fewer bytes: float16's precision where that is shown to change nothing.

A stored perturbation is float32 always. Where every metric of the image that it restores is within
the metric's tolerance of what was measured, its values are rounded to the 11 significant bits of a
float16 (not to float16's range, so that tiny values stay what they are); the bits that are left
compress as well as a float16 does. Else it is stored as it is.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from bench.metrics import METRICS, Measured, Metric
from bench.spectrum import spectral_metrics

HALF, FULL = 16, 32
"""Bits of precision that are stored."""
_DROPPED = 13
"""Bits of a float32's significand that a float16's does not have."""


def rounded(values: Tensor) -> Tensor:
    """Return float32 values rounded to 11 significant bits, ties to even."""
    bits = values.contiguous().view(torch.int32)
    half = (1 << (_DROPPED - 1)) - 1 + ((bits >> _DROPPED) & 1)
    return ((bits + half) & ~((1 << _DROPPED) - 1)).view(torch.float32)


def restored(clean: Tensor, stored: Tensor, bits: Tensor) -> Tensor:
    """Return the adversarial images (B, C, H, W) of stored perturbations.

    A value that rounding has moved off 0 or 1 goes back there, for `clip_share` asks for it.

    Args:
        clean: (B, C, H, W) float32 in [0, 1].
        stored: the same shape, float32.
        bits: (B,) 16 or 32, the precision of each.
    """
    adversarial = (clean + stored).clamp(0, 1)
    half = (bits == HALF).view(-1, 1, 1, 1)
    for bound in (0.0, 1.0):
        way = bound - clean
        there = stored == torch.where(half, rounded(way), way)
        adversarial[there & (stored != 0)] = bound
    return adversarial


def lean(
    clean: Tensor, delta: Tensor, metrics: Mapping[str, Tensor], fixed: Measured
) -> tuple[Tensor, Tensor]:
    """Return perturbations as they are to be stored, and their precision in bits (B,) int8.

    Args:
        clean: (B, C, H, W) float32 images.
        delta: the same shape, float32 perturbations.
        metrics: what was measured of them.
        fixed: the same batch, for what does not depend on delta.
    """
    short = rounded(delta)
    bits = torch.full((len(delta),), HALF, dtype=torch.int8, device=delta.device)
    again = measure(clean, restored(clean, short, bits), fixed.image_rfc, fixed.grad_rfc)
    same = torch.ones_like(bits, dtype=torch.bool)
    for metric in METRICS:
        same &= agrees(metric, metrics[metric.name], metric.values(again))
    bits[~same] = FULL
    return torch.where(same.view(-1, 1, 1, 1), short, delta), bits


def measure(clean: Tensor, adversarial: Tensor, image_rfc: Tensor, grad_rfc: Tensor) -> Measured:
    """Return what metrics see of adversarial images, as a run does."""
    delta = (adversarial - clean).double()
    return Measured(clean, adversarial, delta, spectral_metrics(delta), image_rfc, grad_rfc)


def agrees(metric: Metric, stated: Tensor, found: Tensor) -> Tensor:
    """Return which of two measurements (B,) or (B, 64) are within a metric's tolerance, (B,) bool.

    A quantity that does not exist agrees with one that does not exist either.
    """
    stated, found = stated.double(), found.double()
    same = torch.where(stated.isnan() & found.isnan(), 0.0, (stated - found).abs())
    if metric.length is not None:
        # of a profile the sum of the differences counts
        return same.sum(1) <= metric.tolerance.absolute
    allowed = metric.tolerance.absolute + metric.tolerance.relative * stated.abs().nan_to_num()
    return same <= allowed
