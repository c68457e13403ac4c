"""What a finished file states, in the form in which a block is measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from bench.errors import BenchError
from bench.metrics import FIRST, readable
from bench.results.block import Columns
from bench.results.read import ERRORS

CLASSES = ("label", "clean_pred", "adv_pred")
FLAGS = ("clean_correct", "success", "status", "zero_grad")


def stated_columns(path: Path, metrics: Mapping[str, int] = FIRST) -> Columns:
    """Return a result's columns: missing numbers NaN, missing classes and flags -1, texts str.

    Args:
        path: the file.
        metrics: name -> definition of its metrics; those of another definition are left out.

    Raises:
        BenchError: the file can't be read, or a column is missing or of another type.
    """
    names = ("attack", "sample_id", *CLASSES, *FLAGS, *(m.name for m in readable(metrics)))
    try:
        table = pq.read_table(path, columns=list(names))
        return {name: _values(name, table[name].combine_chunks()) for name in names}
    except ERRORS as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BenchError(f"expected a result at {path}: {text}; see `bench check`") from None


def _values(name: str, column: Any) -> npt.NDArray[Any]:
    if name in ("attack", "status"):
        return np.array([str(v) for v in column.cast(pa.string()).to_pylist()], dtype=object)
    if name in CLASSES or name == "sample_id":
        return np.asarray(column.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)
    if pa.types.is_boolean(column.type):
        return np.asarray(column.cast(pa.int8()).fill_null(-1).to_numpy(zero_copy_only=False))
    if pa.types.is_fixed_size_list(column.type):
        result = np.full((len(column), column.type.list_size), np.nan)
        there = column.is_valid().to_numpy(zero_copy_only=False)
        flat = column.flatten().fill_null(np.nan).to_numpy(zero_copy_only=False)
        result[there] = flat.astype(np.float64).reshape(-1, column.type.list_size)
        return result
    return np.asarray(column.fill_null(np.nan).to_numpy(zero_copy_only=False), dtype=np.float64)


def stated_extras(path: Path) -> list[Mapping[str, Any]]:
    """Return the side file's rows with arrays in their shape; none without a side file.

    Raises:
        BenchError: the file can't be read.
    """
    if not path.exists():
        return []
    try:
        return [_shaped(row) for row in pq.read_table(path).to_pylist()]
    except ERRORS as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BenchError(f"expected a side file at {path}: {text}; see `bench check`") from None


def _shaped(row: Mapping[str, Any]) -> Mapping[str, Any]:
    arrays = {
        name: np.asarray(row[name], dtype=np.float32).reshape(row["shape"])
        for name in ("values", "delta")
        if row[name] is not None
    }
    return {**row, **arrays}
