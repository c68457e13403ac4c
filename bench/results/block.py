"""What is written at once: the measured columns of one attack on one block of samples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Columns = Mapping[str, npt.NDArray[Any]]

EXAMPLES = 4
"""Example images kept for each attack."""


@dataclass(frozen=True)
class Block:
    """The result of one attack on one block of samples.

    Attributes:
        attack: attack name.
        attack_hash: its identity (`bench.entries.attacks.attack_hash`).
        sample_ids: (B,) ids in order.
        columns: column name -> (B,) or (B, 64) array; NaN or -1 (classes) where missing.
        spectrum_sum: (h, w) float64, sum over kept samples of the fftshifted p.
        kept: number of kept samples with a spectrum.
        examples: up to 4 (sample id, clean image, delta), (C, H, W) float32.
        deltas: (B', C, H, W) float32 of all attacked samples, with `delta_ids`; None unless asked.
        lean: the same as they are to be stored, and `lean_bits` (B',) int8, the precision of each:
            16 or 32 (`bench.measure.lean`).
    """

    attack: str
    attack_hash: str
    sample_ids: tuple[int, ...]
    columns: Columns
    spectrum_sum: npt.NDArray[np.float64]
    kept: int
    examples: tuple[tuple[int, npt.NDArray[np.float32], npt.NDArray[np.float32]], ...]
    deltas: npt.NDArray[np.float32] | None = None
    delta_ids: tuple[int, ...] = ()
    lean: npt.NDArray[np.float32] | None = None
    lean_bits: npt.NDArray[np.int8] = field(default_factory=lambda: np.zeros(0, dtype=np.int8))


@dataclass(frozen=True)
class CleanRows:
    """Clean predictions of some samples; each array is (B,) int64."""

    sample_id: npt.NDArray[np.int64]
    label: npt.NDArray[np.int64]
    pred: npt.NDArray[np.int64]
    label_rank: npt.NDArray[np.int64]


def block_samples(batch_size: int) -> int:
    """Return how many samples a block holds: whole batches, at least 32 samples."""
    return batch_size * math.ceil(32 / batch_size)
