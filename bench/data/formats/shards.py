"""Random access to the images of Parquet shards, one row group in memory at a time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.data.base import Images, Int64Array, UInt8Image
from bench.data.formats.class_names import class_order
from bench.data.formats.folders import one_line
from bench.data.formats.numbering import sample_ids
from bench.data.pixels import to_pixels
from bench.entries.dataset import DatasetEntry
from bench.errors import BenchError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


class ParquetImages(Images):
    """Images in the rows of some Parquet files.

    The row group that was read last is kept: ids that follow the files' order read each once.
    """

    def __init__(
        self,
        ids: Int64Array,
        labels: Int64Array,
        source: str,
        files: tuple[Path, ...],
        groups: Int64Array,
        rows: Int64Array,
        column: str,
        entry: DatasetEntry,
    ) -> None:
        """Keep where each image lies.

        Args:
            ids: (N,) sample ids, increasing.
            labels: (N,) class indices.
            source: where the files came from.
            files: the shards.
            groups: (G, 3) for each row group of all files: file, row group in it, first row.
            rows: (N,) row of each image, counted over all files.
            column: name of the image column.
            entry: the data set, for the shape of raw pixels.
        """
        self.ids, self.labels, self.source = ids, labels, source
        self._files, self._groups, self._rows = files, groups, rows
        self._column, self._entry = column, entry
        self._kept: tuple[int, pa.ChunkedArray] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave the row group behind: it is read again where it is needed."""
        return {**self.__dict__, "_kept": None}

    def _group(self, position: int) -> int:
        row = self._rows[position]
        return int(np.searchsorted(self._groups[:, 2], row, side="right")) - 1

    def where(self, position: int) -> str:
        """Return file and row of the image."""
        file, first = self._files[self._groups[self._group(position), 0]], self._first(position)
        return f"row {int(self._rows[position]) - first} of {file}"

    def _first(self, position: int) -> int:
        """First row, over all files, of the file in which the image lies."""
        file = self._groups[self._group(position), 0]
        return int(self._groups[self._groups[:, 0] == file, 2].min())

    def decode(self, position: int) -> UInt8Image:
        """Return the image, (H, W) or (H, W, 3) uint8. Raises BenchError if it is broken."""
        group = self._group(position)
        if self._kept is None or self._kept[0] != group:
            self._kept = (group, self._read(group, position))
        row = int(self._rows[position] - self._groups[group, 2])
        return to_pixels(self._kept[1][row].as_py(), self._entry, self.where(position))

    def _read(self, group: int, position: int) -> pa.ChunkedArray:
        import pyarrow as pa
        import pyarrow.parquet as pq

        file, index, _ = self._groups[group]
        try:
            with pq.ParquetFile(self._files[file]) as opened:
                return opened.read_row_group(int(index), columns=[self._column])[self._column]
        except (pa.ArrowException, OSError) as error:
            raise BenchError(
                f"expected readable images, got {one_line(error)}, in {self.where(position)}; "
                "download the file again"
            ) from None


def open_shards(
    files: tuple[Path, ...], entry: DatasetEntry, split: str, source: str
) -> ParquetImages:
    """Read labels, names and the table of row groups; no pixels.

    Args:
        files: the shards, in order.
        entry: the data set.
        split: "test" or "train".
        source: where they came from.

    Raises:
        BenchError: a column is missing, or labels are not integers.
        pyarrow.ArrowException, OSError: a file cannot be read.
    """
    import pyarrow.parquet as pq

    groups: list[tuple[int, int, int]] = []
    labels: list[Int64Array] = []
    names: list[str | None] = []
    first = 0
    column = ""
    most = entry.count(split)
    for number, path in enumerate(files):
        with pq.ParquetFile(path) as file:
            if first + file.metadata.num_rows > most:
                raise BenchError(
                    f"expected {most} {split} images of {entry.title}, got more, in {path} and the "
                    f"{number} files before it; give the whole split, once"
                )
            column = pick(file.schema_arrow.names, entry.columns[0], path)
            labels.append(_labels(file, entry, path))
            names += _names(file, column)
            for group in range(file.num_row_groups):
                groups.append((number, group, first))
                first += file.metadata.row_group(group).num_rows
    ids = sample_ids(names, entry, split, source)
    order = np.argsort(ids)
    return ParquetImages(
        ids[order],
        np.concatenate(labels)[order],
        source,
        files,
        np.array(groups, dtype=np.int64).reshape(-1, 3),
        order.astype(np.int64),
        column,
        entry,
    )


def pick(names: list[str], wanted: tuple[str, ...], where: object) -> str:
    """Return the first wanted column that is there. Raises BenchError if none is."""
    for name in wanted:
        if name in names:
            return name
    raise BenchError(
        f"expected a column {wanted[0]!r}, found {', '.join(names) or 'none'}, in {where}; "
        "name the columns in the data set's entry ([hub] image_column, label_column)"
    )


def _labels(file: pq.ParquetFile, entry: DatasetEntry, path: Path) -> Int64Array:
    name = pick(file.schema_arrow.names, entry.columns[1], path)
    labels = integer_labels(file.read(columns=[name])[name], name, path)
    order = class_order(_label_names(file, name), entry, path)
    return labels if order is None else in_order(labels, order, path)


def in_order(labels: Int64Array, order: list[int], where: object) -> Int64Array:
    """Return the class indices of labels that a file numbers in another order.

    Args:
        labels: (N,) as the file has them.
        order: class index of each of the file's labels.
        where: the file, for errors.
    """
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(order):
        raise BenchError(
            f"expected labels from 0 to {len(order) - 1}, as it names {len(order)} classes, got "
            f"{labels.min()} to {labels.max()}, in {where}"
        )
    return np.array(order, dtype=np.int64)[labels]


def _label_names(file: pq.ParquetFile, column: str) -> list[str]:
    """Return what `datasets` wrote about the labels' names; none if nobody did."""
    try:
        about = json.loads((file.schema_arrow.metadata or {}).get(b"huggingface", b"{}"))
        names = about["info"]["features"][column]["names"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return []
    return names if isinstance(names, list) and all(isinstance(n, str) for n in names) else []


def integer_labels(column: pa.ChunkedArray, name: str, where: object) -> Int64Array:
    """Return a label column as (N,) int64. Raises BenchError if it holds anything else."""
    import pyarrow as pa

    if column.null_count or not pa.types.is_integer(column.type):
        raise BenchError(
            f"expected integers in the label column {name!r}, got {column.type} with "
            f"{column.null_count} nulls, in {where}"
        )
    labels: Int64Array = column.to_numpy().astype(np.int64)
    return labels


def _names(file: pq.ParquetFile, column: str) -> list[str | None]:
    if not _has_path(file.schema_arrow.field(column).type):
        return [None] * file.metadata.num_rows
    return path_names(file.read(columns=[f"{column}.path"])[column])


def _has_path(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_struct(kind)) and kind.get_field_index("path") >= 0


def path_names(column: pa.ChunkedArray) -> list[str | None]:
    """Return the file name of each image of a column; None where it has none."""
    import pyarrow.compute as pc

    if not _has_path(column.type):
        return [None] * len(column)
    names: list[str | None] = pc.struct_field(column, "path").to_pylist()
    return names
