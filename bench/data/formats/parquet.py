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

_OF = re.compile(r"^(.*)-(\d{5})-of-(\d{5})\.parquet$")


def split_names(entry: DatasetEntry, split: str) -> tuple[str, ...]:
    """Return what the split may be called in file names ("validation", "val")."""
    name = entry.hub.test_split if split == "test" else entry.hub.train_split
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
        for place in (base, base / entry.hub.folder, base / "data"):
            for name in split_names(entry, split):
                for pattern in (f"{name}.parquet", f"{name}-*.parquet", f"{name}/*.parquet"):
                    files = sorted(place.glob(pattern))
                    if files:
                        return files
    return []


def check_complete(files: Sequence[Path]) -> None:
    """Raise BenchError if the names say that a shard is missing ("-00003-of-00014")."""
    parsed = [m for m in (_OF.match(f.name) for f in files) if m]
    for match in parsed:
        there = {int(m[2]) for m in parsed if m[3] == match[3]}
        missing = sorted(set(range(int(match[3]))) - there)
        if missing:
            name = f"{match[1]}-{missing[0]:05d}-of-{match[3]}.parquet"
            raise BenchError(
                f"expected {int(match[3])} shards, found {len(there)} ({name} is missing), "
                f"in {files[0].parent}; download it"
            )
