"""SVHN's cropped digits in their MATLAB files `test_32x32.mat` and `train_32x32.mat`.

Source: http://ufldl.stanford.edu/housenumbers/ (format 2): X is (32, 32, 3, N) uint8, y is (N, 1)
with the digit 0 written as 10; here it is class 0.
"""

from __future__ import annotations

import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.arrays import ArrayImages, array_images
from bench.data.formats.folders import candidates, one_line
from bench.entries.dataset import DatasetEntry
from bench.errors import BenchError

_MOST_VALUES = 2**31
"""Of one array; the extra split, the largest, has 531,131 images of 3072."""


def expects(entry: DatasetEntry, split: str) -> str:
    """Return the name of the file that this layout reads, for errors."""
    return f"{split}_32x32.mat"


def read(folder: Path, entry: DatasetEntry, split: str) -> ArrayImages | None:
    """Return one split, or None if its file is not there.

    Args:
        folder: the folder of the file.
        entry: the data set.
        split: "test" or "train".

    Raises:
        BenchError: the file is damaged, or holds something else.
    """
    for place in candidates(folder, entry.name):
        path = place / f"{split}_32x32.mat"
        if path.is_file():
            return _read(path)
    return None


def _read(path: Path) -> ArrayImages:
    content = _load(path)
    pixels, labels = content.get("X"), content.get("y")
    if not isinstance(pixels, np.ndarray) or not isinstance(labels, np.ndarray):
        raise BenchError(
            f"expected the variables X and y, found {', '.join(sorted(content)) or 'none'}, "
            f"in {path}; is it SVHN's cropped digits?"
        )
    labels = labels.reshape(-1)
    if pixels.ndim != 4 or pixels.dtype != np.uint8 or pixels.shape[3] != len(labels):
        raise BenchError(
            f"expected X of 32 x 32 x 3 x N bytes and N labels, got X of "
            f"{' x '.join(map(str, pixels.shape))} {pixels.dtype} and {len(labels)} labels, "
            f"in {path}; download it again"
        )
    if not set(np.unique(labels)) <= set(range(1, 11)):
        raise BenchError(
            f"expected labels from 1 to 10 (10 is the digit 0), got {labels.min()} to "
            f"{labels.max()}, in {path}; download it again"
        )
    digits = labels.astype(np.int64) % 10
    return array_images(np.ascontiguousarray(pixels.transpose(3, 0, 1, 2)), digits, f"svhn {path}")


def _load(path: Path) -> dict[str, Any]:
    import scipy.io

    broken = (
        scipy.io.matlab.MatReadError, ValueError, TypeError, KeyError, IndexError, EOFError,
        NotImplementedError, MemoryError, OSError, zlib.error, AttributeError, OverflowError,
    )  # fmt: skip
    try:
        # the headers first: a few packed bytes may claim any size
        for name, shape, _ in scipy.io.whosmat(str(path)):
            if name in ("X", "y") and math.prod(shape) > _MOST_VALUES:
                raise ValueError(f"{name} of {' x '.join(map(str, shape))} values")
        content = scipy.io.loadmat(str(path), variable_names=["X", "y"])
    except broken as error:
        raise BenchError(
            f"expected a MATLAB 5 file, got a damaged one ({one_line(error)}), in {path}; "
            "download it again"
        ) from None
    return {name: value for name, value in content.items() if not name.startswith("__")}
