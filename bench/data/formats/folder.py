"""A class-per-folder tree: `<split>/<class>/<image>`, as torchvision's ImageFolder reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.data.files import FileImages
from bench.data.formats.class_names import class_indices, each_index
from bench.data.formats.folders import candidates
from bench.data.formats.numbering import sample_ids
from bench.entries.dataset import DatasetEntry
from bench.errors import BenchError

_SUFFIXES = frozenset({".jpeg", ".jpg", ".png", ".webp", ".bmp", ".ppm", ".pgm", ".tif", ".tiff"})


def _split_folders(entry: DatasetEntry, split: str) -> tuple[str, ...]:
    """Return what the folder of a split may be called; ImageNet's own `test` has no labels."""
    if split == "train":
        return ("train",)
    return ("val", "validation") if entry.split_name(split) == "validation" else ("test", "val")


def expects(entry: DatasetEntry, split: str) -> str:
    """Return what this layout reads, for errors."""
    first = (entry.class_folders or entry.classes)[0]
    return f"a folder for each class with its images ({_split_folders(entry, split)[0]}/{first}/*)"


def read(folder: Path, entry: DatasetEntry, split: str) -> FileImages | None:
    """Return one split, or None if there are no class folders.

    Args:
        folder: the folder above the class folders, or above `val`, `validation`, `test`,
            `train`.
        entry: the data set; names of class folders decide (`bench.data.formats.class_names`).
        split: "test" or "train".

    Raises:
        BenchError: folders that are no classes, or images without an official number where the
            entry wants one.
    """
    for base in candidates(folder, entry.name):
        for place in (*(base / name for name in _split_folders(entry, split)), base):
            classes = _class_folders(place)
            # a bare folder may also be one that holds the splits, or anything
            indices = _indices([c.name for c in classes], entry, place, strict=place != base)
            if indices is not None:
                return _read(place, dict(zip(classes, indices, strict=True)), entry, split)
    return None


def _class_folders(place: Path) -> list[Path]:
    if not place.is_dir():
        return []
    return sorted(d for d in place.iterdir() if d.is_dir() and not d.name.startswith("."))


def _indices(
    names: list[str], entry: DatasetEntry, place: Path, *, strict: bool
) -> list[int] | None:
    """Return the class index of each folder; None if there are none, or (not strict) no match."""
    if not names:
        return None
    indices = class_indices(names, entry)
    known = entry.class_folders or entry.classes
    if indices is None:
        each = each_index(names, entry)
        unknown = [name for name, index in zip(names, each, strict=True) if index is None]
        if not strict and len(unknown) == len(names):
            return None
        count = len(entry.classes)
        raise BenchError(
            f"expected class folders of {entry.title} ({known[0]}, {known[1]}, ... or 0 to "
            f"{count - 1}), found {len(names)} folders of which {len(unknown)} are no classes "
            f"({(unknown or names)[0]}), in {place}; name them so: order says nothing about classes"
        )
    if len(set(indices)) < len(indices):
        twice = [n for n, i in zip(names, indices, strict=True) if indices.count(i) > 1]
        raise BenchError(
            f"expected one folder a class, found {twice[0]!r} and {twice[1]!r} for one, in "
            f"{place}; put their images together"
        )
    return indices


def _read(place: Path, classes: dict[Path, int], entry: DatasetEntry, split: str) -> FileImages:
    found = [
        (path, index)
        for folder, index in classes.items()
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")
    ]
    if not found:
        raise BenchError(
            f"expected images in the {len(classes)} class folders, found none "
            f"({', '.join(sorted(_SUFFIXES))}), in {place}"
        )
    files = [path for path, _ in found]
    labels = np.array([index for _, index in found], dtype=np.int64)
    ids = sample_ids([path.name for path in files], entry, split, str(place))
    order = np.argsort(ids)
    return FileImages(
        ids=ids[order],
        labels=labels[order],
        source=f"folder {place}",
        files=tuple(files[position] for position in order),
        rgb=entry.transform or entry.channels == 3,
        shape=None if entry.transform else entry.shape,
    )
