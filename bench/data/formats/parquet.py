"""Parquet files with encoded images or raw pixels, as the Hugging Face hub lays them out.

One file, or shards `<split>-00000-of-00014.parquet` in the folder or where a copy of the hub's
repository has them. The image column holds a struct {bytes, path}, encoded bytes, or raw uint8
values in (H, W, C) order; the label column integers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from bench.data.base import Images
from bench.data.formats.folders import candidates, one_line
from bench.data.formats.shards import ParquetImages, open_shards
from bench.entries.dataset import DatasetEntry
from bench.errors import BenchError

_OF = re.compile(r"^(.*)-(\d+)-of-(\d+)(-[0-9a-f]{16})?\.parquet$")
"""Name, number, how many, and the hash that `datasets` used to put behind them."""


def split_names(entry: DatasetEntry, split: str) -> tuple[str, ...]:
    """Return what the split may be called in file names ("validation", "val")."""
    name = entry.split_name(split)
    return (name, "val") if name == "validation" else (name,)


def expects(entry: DatasetEntry, split: str) -> str:
    """Return the names of the files that this layout reads, for errors."""
    return f"{split_names(entry, split)[0]}-*.parquet or {split_names(entry, split)[0]}.parquet"


def read(folder: Path, entry: DatasetEntry, split: str) -> Images | None:
    """Return one split, or None if there is no Parquet file of it.

    Args:
        folder: a folder with the files, a copy of the hub's repository, or one file.
        entry: the data set.
        split: "test" or "train".

    Raises:
        BenchError: a shard is missing or broken, or a column is.
    """
    files = _find(folder, entry, split)
    if not files:
        return None
    check_complete(files)
    return read_files(files, entry, split, f"parquet {folder}")


def read_files(
    files: Sequence[Path], entry: DatasetEntry, split: str, source: str
) -> ParquetImages:
    """Return the images of some Parquet files, decoded on demand.

    Args:
        files: in order.
        entry: the data set.
        split: "test" or "train".
        source: where they came from, for the metadata.

    Raises:
        BenchError: a file is broken, or lacks a column.
    """
    import pyarrow as pa

    try:
        return open_shards(tuple(files), entry, split, source)
    except (pa.ArrowException, OSError) as error:
        raise BenchError(
            f"expected readable Parquet files, got {one_line(error)}, in {source}; "
            "download them again"
        ) from None


def _find(folder: Path, entry: DatasetEntry, split: str) -> list[Path]:
    if folder.is_file():
        return [folder] if folder.suffix == ".parquet" else []
    for base in candidates(folder, entry.name):
        folders = (base / entry.hub.folder,) if entry.hub is not None else ()
        for place in (base, *folders, base / "data"):
            for name in split_names(entry, split):
                for pattern in (f"{name}.parquet", f"{name}-*.parquet", f"{name}/*.parquet"):
                    files = sorted(place.glob(pattern), key=_by_number)
                    if files:
                        return files
    return []


def _by_number(path: Path) -> list[tuple[int, str]]:
    """Order names as people count: test-2 before test-10."""
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def check_complete(files: Sequence[Path]) -> None:
    """Raise BenchError if the names say that a shard is missing, or that there are two sets.

    "test-00003-of-00014.parquet" tells both; such files and others are two sets as well.
    """
    sets: dict[tuple[str, ...] | None, set[int]] = {}
    for file in files:
        match = _OF.match(file.name)
        key: tuple[str, ...] | None = None
        if match:
            key = (match[1], match[3], match[4] or "")
        sets.setdefault(key, set()).add(int(match[2]) if match else len(sets))
    if len(sets) > 1:
        raise BenchError(
            f"expected one set of shards, found {len(sets)} ({files[0].name}, ..., "
            f"{files[-1].name}), in {files[0].parent}; keep the newer one"
        )
    for key, there in sets.items():
        missing = sorted(set(range(min(int(key[1]), 100_000))) - there) if key else []
        if missing and key:
            name = f"{key[0]}-{missing[0]:05d}-of-{key[1]}{key[2]}.parquet"
            raise BenchError(
                f"expected {int(key[1])} shards, found {len(there)} ({name} is missing), "
                f"in {files[0].parent}; download it"
            )
