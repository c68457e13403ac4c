"""Each Fourier mode added to some samples: who is fooled, and what becomes of the margin."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.attacks.base import logit_margin
from bench.attacks.starts import draw_bits
from bench.measure.job import Job
from bench.probes.controls import NOISES, noise, of_norm
from bench.probes.heatmap.probe import CLIPPED, Heatmap
from bench.probes.modes import Modes, modes
from bench.probes.subjects import Subjects
from bench.steps.step import GradientStep

HALF = 6e4
"""Largest change of a margin that float16 holds."""


def measure(
    probe: Heatmap, job: Job, part: str, ids: Sequence[int], control: bool
) -> Mapping[str, Sequence[Any]]:
    """Return the columns of one part; arguments as of `Probe.measure`."""
    subjects = Subjects.of(job, ids, control)
    channels, height, width = subjects.images.shape[1:]
    chosen = modes(height, width, job.seed)
    norm = probe.norm((channels, height, width))
    step = job.step or GradientStep(job.model)

    def work(x: Tensor, y: Tensor, some: tuple[int, ...]) -> dict[str, Any]:
        before = -logit_margin(step.logits(x), y)

        def after(delta: Tensor) -> Tensor:
            seen = x + norm * delta
            return -logit_margin(step.logits(seen.clamp(0, 1) if part == CLIPPED else seen), y)

        found = [after(direction) for direction in directions(chosen, x, some, job.seed)]
        margins = torch.stack(found, 1)
        noises = {
            kind: torch.stack(
                [
                    after(noise(kind, x, some, job.seed, f"heatmap {number}"))
                    for number in range(probe.draws)
                ],
                1,
            )
            for kind in NOISES
        }
        own = of_norm(x - x.mean(dim=(2, 3), keepdim=True), 1.0).nan_to_num(0.0)
        both = torch.stack([after(own), after(-own)], 1)
        return {
            "margin": before,
            "change": (margins - before[:, None]).clamp(-HALF, HALF),
            "wrong": margins < 0,
            **{kind: found < 0 for kind, found in noises.items()},
            "image": both < 0,
            "white_change": noises["white"].mean(1) - before,
        }

    return subjects.measure(job, list(probe.columns), work)


def directions(chosen: Modes, images: Tensor, ids: Sequence[int], seed: int) -> Iterator[Tensor]:
    """Give the direction of each mode for each sample, (B, C, H, W) of norm 1.

    cos(2 pi (ky y / H + kx x / W) + phase) with a phase for each sample and mode, and a sign for
    each channel; a mode that is its own negative has phase 0.

    Args:
        chosen: which modes.
        images: (B, C, H, W), for shape, type and device.
        ids: of the samples.
        seed: of phases and signs.
    """
    channels, height, width = images.shape[1:]
    drawn = np.stack([draws(chosen.total, channels, i, seed) for i in ids])
    y = torch.arange(height, dtype=torch.float64)[:, None] / height
    x = torch.arange(width, dtype=torch.float64)[None, :] / width
    for place, single in enumerate(chosen.single()):
        ky, kx = int(chosen.ky[place]), int(chosen.kx[place])
        angle = 2 * math.pi * (ky * y + kx * x)
        here = torch.from_numpy(drawn[:, chosen.number[place]])  # (B, 1 + C) in [0, 1)
        phase = torch.zeros(len(here)) if single else 2 * math.pi * here[:, 0]
        wave = torch.cos(angle[None] + phase[:, None, None].double())
        sign = torch.where(here[:, 1:] < 0.5, -1.0, 1.0).double()
        yield of_norm(sign[:, :, None, None] * wave[:, None], 1.0).to(images)


def draws(total: int, channels: int, sample_id: int, seed: int) -> np.ndarray:
    """Return the draws of one sample, (total, 1 + channels) in [0, 1): phase, signs of channels."""
    bits = draw_bits(seed, "probe", sample_id, "heatmap modes", total * (1 + channels))
    found: np.ndarray = ((bits >> np.uint64(11)).astype(np.float64) * 2.0**-53).reshape(total, -1)
    return found
