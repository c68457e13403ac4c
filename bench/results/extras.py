"""The side file of a result: mean spectra and example images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from bench.grid import BINS, MAP_SIDE

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Example:
    """A sample image (C, H, W) in [0, 1] with its perturbation."""

    sample_id: int
    image: Array
    delta: Array


@dataclass(frozen=True)
class Extras:
    """The side file of a result: attack -> (mean map, n), examples, (mean radial energy, n)."""

    maps: Mapping[str, tuple[Array, int]]
    examples: Mapping[str, tuple[Example, ...]]
    energy: Mapping[str, tuple[Array, int]]


def read_extras(path: Path, shape: tuple[int, int, int] | None = None) -> Extras:
    """Return mean spectra and example images; empty without a side file.

    Args:
        path: of the side file.
        shape: (C, H, W) of the model's input, that the arrays must have; None: any.

    Raises:
        ValueError: the side file can't be read, or its arrays are not finite or of another shape.
    """
    maps: dict[str, tuple[Array, int]] = {}
    energy: dict[str, tuple[Array, int]] = {}
    examples: dict[str, list[Example]] = {}
    if not path.exists():
        return Extras({}, {}, {})
    side = None if shape is None else (min(shape[1], MAP_SIDE), min(shape[2], MAP_SIDE))
    try:
        for row in pq.read_table(path).to_pylist():
            attack, n = str(row["attack"]), int(row["n"])
            if row["kind"] == "example":
                image, delta = (_finite(row, name, shape) for name in ("values", "delta"))
                examples.setdefault(attack, []).append(Example(int(row["sample_id"]), image, delta))
            elif row["kind"] == "spectrum" and n > 0:
                maps[attack] = (_finite(row, "values", side), n)
            elif row["kind"] == "radial_energy" and n > 0:
                energy[attack] = (_finite(row, "values", (BINS,)), n)
    except (pa.ArrowException, OSError, TypeError, KeyError) as error:
        raise ValueError(f"unreadable side file: {error}") from None
    return Extras(maps, {name: tuple(found) for name, found in examples.items()}, energy)


def _finite(row: Mapping[str, Any], name: str, shape: tuple[int, ...] | None) -> Array:
    wanted = row["shape"] if shape is None else shape
    found = np.asarray(row[name], dtype=np.float64).reshape(wanted)
    if not np.isfinite(found).all():
        raise ValueError("a side file's values are not finite")
    return found
