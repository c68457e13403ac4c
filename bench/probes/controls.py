"""Noise and other directions that a measured one is held against, drawn for each sample."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.special import ndtri
from torch import Tensor

from bench.attacks.starts import draw_bits
from bench.probes.kinds import NOISES as NOISES
from bench.spectrum import frequency_grid, passed


def noise(kind: str, images: Tensor, ids: Sequence[int], seed: int, purpose: str) -> Tensor:
    """Return noise of norm 1 for each sample, whatever batch it is in.

    Args:
        kind: one of NOISES.
        images: (B, C, H, W), for shape, type and device.
        ids: of the samples.
        seed, purpose: of the draws.

    Returns:
        (B, C, H, W).
    """
    drawn = np.stack([gaussian(images[0].numel(), i, seed, f"{purpose} {kind}") for i in ids])
    values = torch.from_numpy(drawn).view(images.shape)
    if kind == "sign":
        values = values.sign()
    elif kind == "pink":
        height, width = images.shape[2:]
        radius = frequency_grid(height, width).radius.view(height, width)
        values = passed(values, torch.where(radius > 0, 1 / radius, 0.0))
    return of_norm(values, 1.0).to(images)


def gaussian(count: int, sample_id: int, seed: int, purpose: str) -> np.ndarray:
    """Return (count,) normal values that depend on the arguments only."""
    bits = draw_bits(seed, "probe", sample_id, purpose, count)
    uniform = ((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    found: np.ndarray = ndtri(uniform)
    return found


def of_norm(values: Tensor, norm: float | Tensor) -> Tensor:
    """Return (B, C, H, W) directions scaled to an L2 norm, one or (B,); NaN where they are 0."""
    size = torch.linalg.vector_norm(values.flatten(1), dim=1)
    size = torch.where(size > 1e-12, size, torch.nan)
    result: Tensor = values * (norm / size)[:, None, None, None]
    return result
