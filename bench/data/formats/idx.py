"""MNIST and FashionMNIST in their IDX files, gzipped or not.

Source: http://yann.lecun.com/exdb/mnist/ ("The IDX file format").
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.data.arrays import ArrayImages, array_images
from bench.data.formats.bounded import read_bounded
from bench.data.formats.folders import candidates
from bench.entries.dataset import DatasetEntry
from bench.errors import BenchError

_PREFIX = {"test": "t10k", "train": "train"}


def expects(entry: DatasetEntry, split: str) -> str:
    """Return the names of the files that this layout reads, for errors."""
    prefix = _PREFIX[split]
    return f"{prefix}-images-idx3-ubyte and {prefix}-labels-idx1-ubyte (.gz or not)"


def read(folder: Path, entry: DatasetEntry, split: str) -> ArrayImages | None:
    """Return one split, or None if the folder holds no image file of this layout.

    Args:
        folder: the folder itself, or one above `raw`, `MNIST/raw`, `FashionMNIST/raw`.
        entry: the data set.
        split: "test" or "train".

    Raises:
        BenchError: a file is missing, truncated, of the wrong kind, or counts differ.
    """
    for place in candidates(folder, entry.name):
        images = _find(place, _PREFIX[split], "images", 3)
        labels = _find(place, _PREFIX[split], "labels", 1)
        if images is None and labels is None:
            continue
        if images is None or labels is None:
            there, lacks = (labels, "images") if images is None else (images, "labels")
            raise BenchError(
                f"expected {expects(entry, split)}, found {there} but no {lacks} file beside it; "
                "add it"
            )
        pixels, classes = read_idx(images, 3), read_idx(labels, 1)
        if len(pixels) != len(classes):
            raise BenchError(
                f"expected as many labels as images, got {len(classes)} labels in {labels} and "
                f"{len(pixels)} images in {images}; get both from the same place"
            )
        return array_images(pixels, classes, f"idx {place}")
    return None


def _find(folder: Path, prefix: str, kind: str, dims: int) -> Path | None:
    for dash in "-.":
        for end in ("", ".gz"):
            path = folder / f"{prefix}-{kind}{dash}idx{dims}-ubyte{end}"
            if path.is_file():
                return path
    return None


def read_idx(path: Path, dims: int) -> npt.NDArray[np.uint8]:
    """Return the array of one IDX file of unsigned bytes.

    Args:
        path: the file; gzipped if its name ends in .gz.
        dims: how many dimensions it must have.

    Returns:
        uint8 array of that many dimensions.

    Raises:
        BenchError: the file cannot be read, is not such a file, is truncated or too long.
    """
    data = read_bounded(path)
    head = 4 + 4 * dims
    magic = 0x800 + dims
    if len(data) < head or struct.unpack_from(">I", data)[0] != magic:
        raise BenchError(
            f"expected an IDX file (magic number {magic:#010x}, {dims} dimensions), "
            f"got one that starts with {data[:4].hex() or 'nothing'}, in {path}; download it again"
        )
    shape = struct.unpack_from(f">{dims}I", data, 4)
    size = int(np.prod(shape, dtype=object))
    if len(data) != head + size:
        raise BenchError(
            f"expected {head + size} bytes for the {' x '.join(map(str, shape))} values that the "
            f"header states, got {len(data)}, in {path}; the file is "
            f"{'truncated' if len(data) < head + size else 'too long'}, download it again"
        )
    return np.frombuffer(data, dtype=np.uint8, offset=head).reshape(shape)
