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


def read_extras(path: Path) -> Extras:
    """Return mean spectra and examples; empty without a readable side file."""
    maps: dict[str, tuple[Array, int]] = {}
    energy: dict[str, tuple[Array, int]] = {}
    examples: dict[str, list[Example]] = {}
    if not path.exists():
        return Extras({}, {}, {})
    try:
        for row in pq.read_table(path).to_pylist():
            values = np.asarray(row["values"], dtype=np.float64).reshape(row["shape"])
            if row["kind"] == "spectrum":
                maps[row["attack"]] = (values, int(row["n"]))
            elif row["kind"] == "radial_energy":
                energy[row["attack"]] = (values, int(row["n"]))
            elif row["kind"] == "example":
                delta = np.asarray(row["delta"], dtype=np.float64).reshape(row["shape"])
                found = Example(int(row["sample_id"]), values, delta)
                examples.setdefault(row["attack"], []).append(found)
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError):
        return Extras({}, {}, {})
    return Extras(maps, {name: tuple(found) for name, found in examples.items()}, energy)
