"""Small data sets in the real on-disk formats, written without the code under test."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image

from bench.entries import registry
from bench.entries.dataset import DatasetEntry, Fingerprints

Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


def any_images(entry: DatasetEntry, **changes: Any) -> DatasetEntry:
    """Return the entry without fingerprints, so that made-up images pass for its own."""
    return entry.model_copy(update={"fingerprints": Fingerprints(), **changes})


def made_up(name: str, count: int = 12, seed: int = 0) -> tuple[DatasetEntry, Pixels, Labels]:
    """Return an entry that accepts any images, and noise images in its size with labels."""
    entry = any_images(registry.dataset(name))
    if entry.id_pattern is None:  # the training split has five batches, or one, of the same images
        counts = {"test_count": count, "train_count": count * (5 if name == "cifar10" else 1)}
        entry = entry.model_copy(update=counts)
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


def cell_bytes(pixels: Pixels, kind: str = "PNG") -> bytes:
    """Return one encoded image."""
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


# ---------------------------------------------------------------- CIFAR


def planes(pixels: Pixels) -> Pixels:
    """Return (N, 32, 32, 3) images as CIFAR's (N, 3072) rows, channels first."""
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)).reshape(len(pixels), 3072)


def python2_batch(pixels: Pixels, labels: Labels, key: str = "labels") -> bytes:
    """Return a batch as Python 2's cPickle wrote the published ones, opcode by opcode."""

    def text(value: bytes) -> bytes:
        return b"T" + struct.pack("<I", len(value)) + value

    def integer(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    rows = planes(pixels)
    dtype = b"cnumpy\ndtype\n" + text(b"u1") + integer(0) + integer(1) + b"\x87R"
    dtype += b"(" + integer(3) + text(b"|") + b"NNN" + integer(-1) * 2 + integer(0) + b"tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
    array += integer(0) + b"\x85" + text(b"b") + b"\x87R("
    array += integer(1) + integer(len(rows)) + integer(3072) + b"\x86" + dtype + b"\x89"
    array += text(rows.tobytes()) + b"tb"
    numbers = b"](" + b"".join(integer(int(label)) for label in labels) + b"e"
    items = text(b"data") + array + text(key.encode()) + numbers
    return b"\x80\x02}(" + items + text(b"batch_label") + text(b"testing batch 1 of 1") + b"u."


def python3_batch(pixels: Pixels, labels: Labels, key: str = "labels", protocol: int = 4) -> bytes:
    """Return a batch that someone pickled again with Python 3."""
    names = {b"data": planes(pixels), key.encode(): [int(v) for v in labels]}
    return pickle.dumps(names, protocol=protocol)


def binary_batch(pixels: Pixels, labels: Labels, coarse: bool = False) -> bytes:
    """Return records of (coarse label 0,) label and 3072 bytes."""
    rows = planes(pixels)
    head = [np.zeros((len(rows), 1), np.uint8)] if coarse else []
    return np.hstack([*head, labels[:, None].astype(np.uint8), rows]).tobytes()


def write_cifar(
    root: Path, pixels: Pixels, labels: Labels, *, hundred: bool = False, python: bool = True
) -> Path:
    """Write both splits (the same images) as the authors' folder and return it."""
    if hundred:
        folder = root / f"cifar-100-{'python' if python else 'binary'}"
        names = ["test", "train"]
    else:
        folder = root / f"cifar-10-batches-{'py' if python else 'bin'}"
        names = ["test_batch", *(f"data_batch_{k}" for k in range(1, 6))]
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        if python:
            data = python2_batch(pixels, labels, "fine_labels" if hundred else "labels")
        else:
            data = binary_batch(pixels, labels, coarse=hundred)
        (folder / (name if python else f"{name}.bin")).write_bytes(data)
    return folder


def write_archive(path: Path, folder: Path) -> Path:
    """Write a folder as .tar or .tar.gz, under its own name."""
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        archive.add(folder, folder.name)
    return path


# ---------------------------------------------------------------- folders and Parquet


def write_tree(root: Path, pixels: Pixels, folders: list[str], names: list[str]) -> list[Path]:
    """Write each image as root/folder/name and return the paths."""
    paths = []
    for image, folder, name in zip(pixels, folders, names, strict=True):
        path = root / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cell_bytes(image, "PNG" if path.suffix == ".png" else "JPEG"))
        paths.append(path)
    return paths


def write_hub_parquet(
    path: Path,
    pixels: Pixels,
    labels: Labels,
    entry: DatasetEntry,
    names: list[str] | None = None,
    rows_a_group: int = 5,
) -> Path:
    """Write a shard with `datasets`, as it is on the hub."""
    import datasets

    cells = [
        {"bytes": cell_bytes(p), "path": names[k] if names else None} for k, p in enumerate(pixels)
    ]
    features = datasets.Features(
        {
            entry.hub.image_column: datasets.Image(),
            entry.hub.label_column: datasets.ClassLabel(names=list(entry.classes)),
        }
    )
    table = {entry.hub.image_column: cells, entry.hub.label_column: [int(v) for v in labels]}
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset = datasets.Dataset.from_dict(table, features=features)
    datasets.disable_progress_bars()
    dataset.to_parquet(str(path), batch_size=rows_a_group)
    return path
