"""CIFAR-10-C and its kin: one `.npy` file a corruption, five severities one after the other.

`<corruption>.npy` holds (5 n, H, W, 3) uint8, the n test images at severity 1, then at 2, ...;
`labels.npy` (5 n,) integers. An entry chooses by its options:

    [options]
    corruption = "gaussian_noise"
    severity = 3

Source: Hendrycks and Dietterich 2019, arXiv 1903.12261; https://zenodo.org/records/2535967.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.data.arrays import ArrayImages, array_images
from bench.data.formats.folders import candidates, one_line
from bench.entries.dataset import DatasetEntry
from bench.errors import BenchError

SEVERITIES = 5
LABELS = "labels.npy"


def expects(entry: DatasetEntry, split: str) -> str:
    """Return the names of the files that this layout reads, for errors."""
    return f"{_chosen(entry)[0]}.npy and {LABELS}"


def _chosen(entry: DatasetEntry) -> tuple[str, int]:
    """Return corruption and severity. Raises BenchError if the entry does not say them."""
    corruption, severity = entry.options.get("corruption"), entry.options.get("severity")
    if not isinstance(corruption, str) or not corruption.replace("_", "").isalnum():
        raise BenchError(
            f'expected options.corruption = "gaussian_noise" or another file\'s name, found '
            f"{corruption!r}, in the entry {entry.name!r}; add it"
        )
    if type(severity) is not int or not 1 <= severity <= SEVERITIES:
        raise BenchError(
            f"expected options.severity from 1 to {SEVERITIES}, found {severity!r}, in the entry "
            f"{entry.name!r}; add it"
        )
    return corruption, severity


def read(folder: Path, entry: DatasetEntry, split: str) -> ArrayImages | None:
    """Return the images of the entry's corruption and severity, or None if they are not there.

    Args:
        folder: the folder of the `.npy` files (CIFAR-10-C), or one above it.
        entry: the data set; its options choose.
        split: "test"; there are no others.

    Raises:
        BenchError: labels are missing, or an array has another type or shape.
    """
    corruption, severity = _chosen(entry)
    if split != "test":
        return None
    for place in [p for name in (entry.name, f"{entry.like}-c") for p in candidates(folder, name)]:
        path = place / f"{corruption}.npy"
        if not path.is_file():
            continue
        if not (place / LABELS).is_file():
            raise BenchError(f"expected {LABELS} beside {path}, found none; add it")
        count = SEVERITIES * entry.test_count
        pixels = _array(path, (count, entry.size, entry.size, entry.channels), "u1")
        labels = _array(place / LABELS, (count,), "iu")
        part = slice((severity - 1) * entry.test_count, severity * entry.test_count)
        shown = np.array(pixels[part])
        return array_images(
            shown[..., 0] if entry.channels == 1 else shown,
            np.array(labels[part]),
            f"corruptions {path} severity {severity}",
        )
    return None


def _array(path: Path, shape: tuple[int, ...], kinds: str) -> npt.NDArray[Any]:
    """Return an array that stays on the disk until a part of it is asked for."""
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a broken header raises anything
        raise BenchError(
            f"expected an array of NumPy's, got {one_line(error)}, in {path}; download it again"
        ) from None
    right = found.dtype == np.uint8 if kinds == "u1" else found.dtype.kind in kinds
    if not isinstance(found, np.ndarray) or found.shape != shape or not right:
        wanted = "uint8" if kinds == "u1" else "integers"
        raise BenchError(
            f"expected {' x '.join(map(str, shape))} {wanted} ({SEVERITIES} severities), got "
            f"{' x '.join(map(str, found.shape))} {found.dtype}, in {path}; download it again"
        )
    return found
