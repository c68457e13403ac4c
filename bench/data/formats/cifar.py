"""CIFAR-10 and CIFAR-100: the binary and the Python version, as folder or .tar.gz.

Source: https://www.cs.toronto.edu/~kriz/cifar.html. A record is a label (CIFAR-100: coarse, then
fine label; the fine one is used) and 3072 bytes, channels first, row by row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt

from bench.data.arrays import ArrayImages, array_images
from bench.data.formats.bounded import members_of, read_bounded
from bench.data.formats.folders import candidates
from bench.data.formats.safe_pickle import read_batch
from bench.entries.dataset import DatasetEntry
from bench.errors import BenchError

_PIXELS = 3 * 32 * 32

Batch = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]
"""Pixels (N, 3072) uint8, labels (N,) int64."""


@dataclass(frozen=True)
class Version:
    """One way in which the authors publish a data set.

    Attributes:
        folder: name of the folder in the archive.
        archive: name of the archive.
        files: split -> names of its files, in order.
        parse: bytes of a file, its name for errors -> a batch.
    """

    folder: str
    archive: str
    files: dict[str, tuple[str, ...]]
    parse: Callable[[bytes, str], Batch]


def _python(label_key: str) -> Callable[[bytes, str], Batch]:
    def parse(data: bytes, name: str) -> Batch:
        batch = read_batch(data, name)
        pixels, labels = batch.get("data"), _labels(batch.get(label_key))
        if not _is_pixels(pixels) or labels is None or len(labels) != len(pixels):
            raise BenchError(
                f"expected the keys 'data' (N x {_PIXELS} bytes) and {label_key!r} (N integers), "
                f"got {', '.join(sorted(batch)) or 'an empty dictionary'}, in {name}; is it "
                "another CIFAR?"
            )
        return pixels, labels

    return parse


def _is_pixels(value: Any) -> TypeGuard[npt.NDArray[np.uint8]]:
    return (
        isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.shape[1:] == (_PIXELS,)
    )


def _labels(value: Any) -> npt.NDArray[np.int64] | None:
    if isinstance(value, list) and all(type(v) is int for v in value):
        return np.array(value, dtype=np.int64)
    if isinstance(value, np.ndarray) and value.dtype.kind in "iu" and value.ndim == 1:
        return value.astype(np.int64)
    return None


def _binary(label_bytes: int) -> Callable[[bytes, str], Batch]:
    def parse(data: bytes, name: str) -> Batch:
        record = label_bytes + _PIXELS
        if len(data) == 0 or len(data) % record:
            raise BenchError(
                f"expected records of {record} bytes, got {len(data)} bytes "
                f"({len(data) % record} too many), in {name}; download it again"
            )
        records = np.frombuffer(data, dtype=np.uint8).reshape(-1, record)
        return records[:, label_bytes:], records[:, label_bytes - 1].astype(np.int64)

    return parse


_TEN = tuple(f"data_batch_{k}" for k in range(1, 6))
_VERSIONS = {
    10: (
        Version(
            "cifar-10-batches-py", "cifar-10-python.tar.gz",
            {"test": ("test_batch",), "train": _TEN}, _python("labels"),
        ),
        Version(
            "cifar-10-batches-bin", "cifar-10-binary.tar.gz",
            {"test": ("test_batch.bin",), "train": tuple(f"{n}.bin" for n in _TEN)}, _binary(1),
        ),
    ),
    100: (
        Version(
            "cifar-100-python", "cifar-100-python.tar.gz",
            {"test": ("test",), "train": ("train",)}, _python("fine_labels"),
        ),
        Version(
            "cifar-100-binary", "cifar-100-binary.tar.gz",
            {"test": ("test.bin",), "train": ("train.bin",)}, _binary(2),
        ),
    ),
}  # fmt: skip


def _versions(entry: DatasetEntry) -> tuple[Version, ...]:
    versions = _VERSIONS.get(len(entry.classes))
    assert versions is not None, "the layout cifar is for entries of 10 or 100 classes"
    return versions


def expects(entry: DatasetEntry, split: str) -> str:
    """Return the names of the files that this layout reads, for errors."""
    return " or ".join(
        f"{v.folder}/{v.files[split][0]}{' ...' if len(v.files[split]) > 1 else ''} or {v.archive}"
        for v in _versions(entry)
    )


def read(folder: Path, entry: DatasetEntry, split: str) -> ArrayImages | None:
    """Return one split, or None if the folder holds neither version.

    Args:
        folder: the authors' folder, a folder above it, or the archive.
        entry: CIFAR-10 (10 classes) or CIFAR-100 (100 classes).
        split: "test" or "train".

    Raises:
        BenchError: a file is missing, truncated, or a pickle that asks for more than arrays.
    """
    for version in _versions(entry):
        for place in candidates(folder, entry.name):
            for inside in (place / version.folder, place):
                if any((inside / name).is_file() for name in version.files[split]):
                    return _join(version, split, _from_folder(inside, version.files[split]), inside)
    for version in _versions(entry):
        archives = [place / version.archive for place in candidates(folder, entry.name)]
        for archive in (folder, *archives):
            if archive.name == version.archive and archive.is_file():
                return _join(version, split, members_of(archive, version.files[split]), archive)
    return None


def _join(version: Version, split: str, files: dict[str, bytes], place: Path) -> ArrayImages:
    missing = [name for name in version.files[split] if name not in files]
    if missing:
        raise BenchError(
            f"expected {len(version.files[split])} files of the {split} split, found {len(files)} "
            f"({missing[0]} is missing), in {place}; download it again"
        )
    batches = [version.parse(files[n], f"{place}/{n}") for n in version.files[split]]
    pixels = np.concatenate([b[0] for b in batches]).reshape(-1, 3, 32, 32)
    labels = np.concatenate([b[1] for b in batches])
    return array_images(
        np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)), labels, f"cifar {place}"
    )


def _from_folder(folder: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    return {name: read_bounded(folder / name) for name in names if (folder / name).is_file()}
