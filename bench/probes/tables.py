"""Measured probes as arrays, each model with its untrained twin. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.results.probes import Arrays, arrays, read
from bench.stats.intervals import NOTHING, Interval, mean_interval

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Subject:
    """One measured model.

    Attributes:
        metadata: of its file.
        parts: part of the probe -> columns.
        twin: the same net untrained, if it was measured.
    """

    metadata: Mapping[str, Any]
    parts: Mapping[str, Arrays]
    twin: Subject | None = None

    @property
    def name(self) -> str:
        """`<model>[@random][@seedN]`."""
        return str(self.metadata["model"])

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the model's input."""
        channels, height, width = self.metadata["input_shape"]
        return int(channels), int(height), int(width)

    @property
    def seed(self) -> int:
        """Of draws and resamples."""
        return int(self.metadata["seed"])

    def both(self) -> tuple[Subject, ...]:
        """Return the model, and its twin if there is one."""
        return (self,) if self.twin is None else (self, self.twin)


def subject(path: Path, twin: Path | None = None) -> Subject:
    """Read a measured model.

    Args:
        path: its file.
        twin: file of its untrained twin; it need not be there.

    Raises:
        BenchError: a file is no probe's.
    """
    rows, metadata = read(path)
    other = subject(twin) if twin is not None and twin.exists() else None
    return Subject(metadata, arrays(rows), other)


def twin_name(model: str) -> str:
    """Return the name of a model's untrained twin."""
    return f"{model.partition('@')[0]}@random"


def measured(columns: Arrays) -> npt.NDArray[np.bool_]:
    """Return which samples were measured, (N,)."""
    found: npt.NDArray[np.bool_] = columns["status"] == "ok"
    return found


def geometric(values: npt.ArrayLike, kept: npt.ArrayLike, seed: int) -> tuple[Interval, int]:
    """Return the geometric mean of positive values with its bootstrapped interval, and n.

    Args:
        values: (N,) > 0; those that are NaN, infinite or 0 are left out.
        kept: (N,) bool.
        seed: of the resamples.
    """
    array = np.asarray(values, dtype=np.float64)
    there = np.asarray(kept, dtype=bool) & np.isfinite(array) & (array > 0)
    logs = np.log(np.where(there, array, 1.0))
    if not there.any():
        return NOTHING, 0
    return Interval(*np.exp(mean_interval(logs, there, seed))), int(there.sum())


def share(flags: npt.ArrayLike, kept: npt.ArrayLike) -> tuple[int, int]:
    """Return how many of the kept samples have a flag, and how many are kept."""
    array, mask = np.asarray(flags, dtype=np.float64), np.asarray(kept, dtype=bool)
    mask = mask & ~np.isnan(array)
    return int((array[mask] > 0).sum()), int(mask.sum())


def shown(found: Interval, digits: int = 2) -> str:
    """Return an interval as text: `1.23 [1.10, 1.40]`; `-` where there is nothing."""
    if np.isnan(found.mean):
        return "-"
    text = f"{found.mean:.{digits}f}"
    if np.isnan(found.low):
        return text
    return f"{text} [{found.low:.{digits}f}, {found.high:.{digits}f}]"


def percent(count: int, n: int) -> str:
    """Return a share as text; `-` of nothing."""
    return "-" if n == 0 else f"{100 * count / n:.0f} %"


def names(subjects: Sequence[Subject]) -> list[str]:
    """Return the names of some models."""
    return [one.name for one in subjects]
