"""The way in: a data-set entry and what the user said -> checked images."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from bench.data import samples
from bench.data.base import Images
from bench.data.check import check_count, check_fingerprint, check_images, check_labels_of
from bench.data.formats import embedded
from bench.data.formats.folders import one_line
from bench.data.hub import hub, hub_cache
from bench.data.layouts import layouts_of
from bench.entries.dataset import DatasetEntry
from bench.errors import BenchError, unknown_name
from bench.files import expanded

SOURCES = ("hub", "embedded", "samples")
"""What --data takes."""

Split = Literal["test", "train"]


def load_images(
    entry: DatasetEntry,
    split: Split,
    *,
    data: str | None = None,
    data_dir: Path | None = None,
    registry_dir: Path,
    offline: bool = False,
) -> Images:
    """Return one split of a data set, checked against its entry.

    With neither `data` nor `data_dir`, images come from the local hub cache if they are there,
    else from those embedded in the registry (test split only), else from the hub.

    Args:
        entry: the data set.
        split: "test" or "train".
        data: "hub", "embedded" or "samples"; None: the order above.
        data_dir: a local copy in one of the entry's layouts; not together with `data`.
        registry_dir: the registry, for the embedded images.
        offline: never ask the network.

    Returns:
        The images; ids are indices in the split.

    Raises:
        BenchError: nothing found, something broken, or images that are not the entry's.
    """
    check_asked(data, data_dir)
    if entry.like is not None and split == "train":
        raise BenchError(
            f"expected a data set with a training split, got {entry.name}, which has test images "
            f"only; train on {entry.like}"
        )
    images, whole = _open(entry, split, data, data_dir, registry_dir, offline)
    images = check_images(images, entry)
    check_fingerprint(images, entry, split)
    if whole:
        check_count(images, entry, split)
    check_labels_of(images, entry, split, registry_dir)
    return images


def check_asked(data: str | None, data_dir: Path | None) -> None:
    """Raise BenchError unless --data and --data-dir make sense together."""
    if data is not None and data not in SOURCES:
        raise unknown_name("data source", data, SOURCES)
    if data is not None and data_dir is not None:
        raise BenchError(
            f"expected one of --data and --data-dir, got --data {data} and --data-dir {data_dir}; "
            "leave one out"
        )


def _open(
    entry: DatasetEntry,
    split: str,
    data: str | None,
    data_dir: Path | None,
    registry_dir: Path,
    offline: bool,
) -> tuple[Images, bool]:
    """Return the images, and whether they must be the whole split."""
    if data_dir is not None:
        return from_path(expanded(data_dir), entry, split), True
    if data in ("embedded", "samples") and split != "test":
        raise BenchError(
            f"expected a source with the {split} split of {entry.name}, got --data {data}, which "
            "holds test images only; give --data-dir, or --data hub"
        )
    if data == "samples":
        return samples.read(entry), False
    if data == "embedded":
        return _embedded(registry_dir, entry), False
    if data is None:
        cached = hub_cache.read_cached(entry, split) if entry.hub is not None else None
        if cached is not None:
            return cached, True
        if entry.embedded is not None and split == "test":
            return _embedded(registry_dir, entry), False
    if entry.hub is None:
        raise BenchError(
            f"expected a local copy of {entry.title}, which is not on the hub, got none; download "
            f"it from {entry.homepage} and give its folder with --data-dir"
        )
    return hub.read(entry, split, offline=offline), True


def _embedded(registry_dir: Path, entry: DatasetEntry) -> Images:
    if entry.embedded is None:
        raise BenchError(
            f"expected a data set with embedded images, got {entry.name}, which has none; "
            "give --data-dir, --data hub, or --data samples"
        )
    return embedded.read(registry_dir, entry)


def from_path(path: Path, entry: DatasetEntry, split: str) -> Images:
    """Return a split from a local copy, in the first of the entry's layouts that is there.

    Args:
        path: what the user gave with --data-dir; some layouts also take a file.
        entry: the data set.
        split: "test" or "train".

    Raises:
        BenchError: there is no such folder, or none of the layouts; the text lists what was
            looked for.
    """
    if not path.exists():
        raise BenchError(
            f"expected a folder with {entry.title}, found nothing at {path}; check --data-dir"
        )
    layouts = layouts_of(entry)
    try:
        for layout in layouts:
            images = layout.read(path, entry, split)
            if images is not None:
                return images
    except OSError as error:
        raise BenchError(f"expected readable data, got {one_line(error)}; check {path}") from None
    looked_for = "; or ".join(layout.expects(entry, split) for layout in layouts)
    raise BenchError(
        f"expected the {split} split of {entry.title}: {looked_for}; found none of it in {path}; "
        "check --data-dir"
    )
