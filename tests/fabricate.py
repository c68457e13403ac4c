"""Small data sets in the real on-disk formats, written without the code under test."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench import registry
from bench.entries import DatasetEntry, Fingerprints

Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


def any_images(entry: DatasetEntry, **changes: Any) -> DatasetEntry:
    """Return the entry without fingerprints, so that made-up images pass for its own."""
    return entry.model_copy(update={"fingerprints": Fingerprints(), **changes})


def made_up(name: str, count: int = 12, seed: int = 0) -> tuple[DatasetEntry, Pixels, Labels]:
    """Return an entry that accepts any images, and noise images in its size with labels."""
    entry = any_images(registry.dataset(name))
    rng = np.random.default_rng(seed)
    shape = (count, entry.size, entry.size) + ((3,) if entry.channels == 3 else ())
    pixels = rng.integers(0, 256, shape, dtype=np.uint8)
    return entry, pixels, rng.integers(0, len(entry.classes), count)


def idx_bytes(values: npt.NDArray[Any]) -> bytes:
    """Return the bytes of an IDX file of unsigned bytes."""
    head = struct.pack(">I", 0x800 + values.ndim) + struct.pack(f">{values.ndim}I", *values.shape)
    return head + values.astype(np.uint8).tobytes()


def write_idx(
    folder: Path,
    pixels: Pixels,
    labels: Labels,
    split: str = "test",
    *,
    zipped: bool = True,
    dash: str = "-",
) -> tuple[Path, Path]:
    """Write MNIST-style files and return the paths of images and labels."""
    folder.mkdir(parents=True, exist_ok=True)
    prefix = "t10k" if split == "test" else "train"
    paths = []
    for kind, values in (("images", pixels), ("labels", labels)):
        path = folder / f"{prefix}-{kind}{dash}idx{values.ndim}-ubyte{'.gz' if zipped else ''}"
        data = idx_bytes(values)
        path.write_bytes(gzip.compress(data) if zipped else data)
        paths.append(path)
    return paths[0], paths[1]
