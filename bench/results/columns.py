"""Columns of a file as numpy arrays: where Arrow becomes numpy, and null a value of the type."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from bench.errors import BenchError

Array = npt.NDArray[Any]


class Columns:
    """The rows of a file, column by column; each is converted when it is first asked for.

    Text is str, whole numbers are int64 with -1 for null, flags bool with False, other numbers
    float64 with NaN; lists of numbers of one length L are (N, L) float64, NaN throughout for null.
    """

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self._arrays: dict[str, Array] = {}

    def __len__(self) -> int:
        return int(self._table.num_rows)

    @property
    def names(self) -> list[str]:
        """Names of the columns, in the file's order."""
        return list(self._table.column_names)

    def __getitem__(self, name: str) -> Array:
        if name not in self._arrays:
            self._arrays[name] = _array(self._table[name].combine_chunks())
        return self._arrays[name]

    def null(self, name: str) -> Array:
        """(N,) True where the column is null."""
        return np.asarray(self._table[name].is_null().to_numpy(), dtype=bool)

    def row(self, number: int) -> dict[str, Any]:
        """Return one row: lists of fractions as (L,) float64 with NaN for null, else Python's."""
        found: dict[str, Any] = {}
        for name in self.names:
            cell = self._table[name][number]
            # to_numpy, for a list of a million Python floats would be 30 times as large
            fractions = pa.types.is_list(cell.type) and pa.types.is_floating(cell.type.value_type)
            listed = fractions and cell.is_valid
            found[name] = _numbers(cell.values) if listed else cell.as_py()
        return found


def _array(column: Any) -> Array:
    kind = column.type
    if pa.types.is_dictionary(kind) or pa.types.is_string(kind):
        return _text(column)
    if pa.types.is_fixed_size_list(kind):
        result = np.full((len(column), kind.list_size), np.nan)
        there = column.is_valid().to_numpy(zero_copy_only=False)
        # flatten leaves null rows out
        result[there] = _numbers(column.flatten()).reshape(-1, kind.list_size)
        return result
    if pa.types.is_integer(kind):
        return np.asarray(column.fill_null(-1).to_numpy(), dtype=np.int64)
    if pa.types.is_boolean(kind):
        return np.asarray(column.fill_null(False).to_numpy(zero_copy_only=False), dtype=bool)
    return _numbers(column)


def _numbers(values: Any) -> Array:
    return np.asarray(values.fill_null(np.nan).to_numpy(zero_copy_only=False), dtype=np.float64)


def _text(column: Any) -> Array:
    coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    words = [str(word) for word in (*coded.dictionary.to_pylist(), None)]
    codes = coded.indices.fill_null(len(words) - 1).to_numpy(zero_copy_only=False)
    result: Array = np.array(words, dtype=object)[codes]
    return result


def read_columns(path: Path, names: Sequence[str]) -> Columns:
    """Return some columns of a result file.

    Raises:
        BenchError: unreadable, or a column is missing.
    """
    try:
        with pq.ParquetFile(path, memory_map=True) as file:  # read_table would import pandas
            missing = sorted(set(names) - set(file.schema_arrow.names))
            if missing:
                raise BenchError(
                    f"expected a column {missing[0]}, found none, in {path}; see `bench check`"
                )
            return Columns(file.read(columns=list(names)))
    except (pa.ArrowException, OSError, ValueError) as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BenchError(
            f"expected a readable result, found {text}, in {path}; see `bench check`"
        ) from None
