"""Files of probes: `results/probes/<dataset>/<model>.<probe>.parquet`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.entries.probes import HEAD
from bench.errors import BenchError
from bench.results.address import Address
from bench.results.filesystem import FileSystem
from bench.results.schema import METADATA_KEY
from bench.results.store import Form

VERSION = 1
"""Version of these files' layout, in their metadata."""

TRANSFER = pa.schema(
    [
        pa.field("signal", pa.string()),
        pa.field("arithmetic", pa.string()),
        pa.field("grid", pa.string()),
        pa.field("number", pa.int32()),
        pa.field("angle", pa.float64()),
        pa.field("phase", pa.float64()),
        pa.field("input_radius", pa.float64()),
        pa.field("mapped_radius", pa.float64()),
        pa.field("output_radius", pa.float64()),
        pa.field("aliased", pa.bool_()),
        pa.field("n", pa.int64()),
        pa.field("gain", pa.float64()),
        pa.field("elsewhere", pa.float64()),
        pa.field("power", pa.float64()),
    ]
)
"""signal "sinusoid", grid "radius": one row a sinusoid, `number` its nominal radius (see
`bench.probes.sinusoids.Point`). signal "noise", grid "ring" or "bin64": one row a ring (see
`bench.probes.noise.Ring`). Null where a quantity does not exist."""

_NAME = pa.dictionary(pa.int32(), pa.string())
SAME = ("probe", "model", "dataset", "attack")
"""Columns with one value in a block. attack: the part of the probe, such as a band."""
KINDS: dict[str, pa.DataType] = {
    "float": pa.float64(),
    "floats": pa.list_(pa.float32()),
    "halves": pa.list_(pa.float16()),
    "flag": pa.bool_(),
    "flags": pa.list_(pa.bool_()),
    "whole": pa.int32(),
    "text": pa.string(),
}


def probe_form(columns: Mapping[str, str]) -> Form:
    """Return the form of a probe's file: one row per (attack, sample_id).

    Args:
        columns: its own, name -> kind (`bench.entries.probes.Kind`).
    """
    fields = [pa.field(name, _NAME) for name in SAME]
    fields += [pa.field("sample_id", pa.int64())]
    fields += [pa.field(name, KINDS[kind]) for name, kind in {**HEAD, **columns}.items()]
    return Form(pa.schema([*fields, pa.field("seconds", pa.float32())]))


def probe_table(
    columns: Mapping[str, Sequence[Any]], same: Mapping[str, str], schema: pa.Schema
) -> pa.Table:
    """Return the rows of one block of a probe.

    Args:
        columns: name -> values of each sample.
        same: name -> the value of all samples, for SAME.
        schema: of the probe's form.
    """
    count = len(columns["sample_id"])
    arrays = []
    for field in schema:
        if field.name in same:
            indices = pa.array([0] * count, type=pa.int32())
            arrays.append(pa.DictionaryArray.from_arrays(indices, pa.array([same[field.name]])))
        else:
            arrays.append(pa.array(list(columns[field.name]), type=field.type))
    return pa.Table.from_arrays(arrays, schema=schema)


BITS = 13
"""Of the 23 of a float32's mantissa that a compact file leaves out: values to 5e-4."""


def compact(rows: pa.Table) -> pa.Table:
    """Return rows with numbers rounded to 10 bits, as float32: files of a third of the size."""
    columns, fields = [], []
    for field in rows.schema:
        column = rows[field.name].combine_chunks()
        if pa.types.is_floating(field.type):
            column = _rounded(column)
        elif pa.types.is_list(field.type) and field.type.value_type == pa.float32():
            # the lists of null rows are empty, so that offsets fit the rounded values
            column = pa.ListArray.from_arrays(
                column.offsets, _rounded(column.values), mask=column.is_null()
            )
        columns.append(column)
        fields.append(pa.field(field.name, column.type))
    schema = pa.schema(fields, metadata=rows.schema.metadata)
    return pa.Table.from_arrays(columns, schema=schema)


def _rounded(values: pa.Array) -> pa.Array:
    there = values.is_valid().to_numpy(zero_copy_only=False)
    numbers = values.to_numpy(zero_copy_only=False).astype(np.float32)
    bits = numbers.view(np.uint32)
    near = (bits + np.uint32(1 << (BITS - 1))) & np.uint32(~((1 << BITS) - 1) & 0xFFFFFFFF)
    return pa.array(np.where(np.isfinite(numbers), near.view(np.float32), numbers), mask=~there)


def joined(tables: Sequence[pa.Table]) -> pa.Table:
    """Return the rows of several tables of one probe in one."""
    return pa.concat_tables(tables).unify_dictionaries()


def probe_address(dataset: str, model: str, probe: str) -> Address:
    """Return where a probe's result goes."""
    return Address("probes", dataset, model).side(probe)


def table(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Return rows as an Arrow table; keys that a row lacks are null."""
    return pa.Table.from_pylist([dict(row) for row in rows], schema=schema)


def write(files: FileSystem, address: Address, rows: pa.Table, metadata: Mapping[str, Any]) -> None:
    """Write a probe's table, all or nothing, with its metadata as JSON.

    Raises:
        BenchError: the place can't be written.
    """
    raw = {METADATA_KEY: json.dumps({"schema_version": VERSION, **metadata}).encode()}
    names = [f.name for f in rows.schema if f.type == pa.float32()]
    with files.put(address.file) as stream:
        pq.write_table(
            rows.replace_schema_metadata(raw),
            stream,
            compression="zstd",
            compression_level=19,
            use_dictionary=[f.name for f in rows.schema if f.name not in names],
            use_byte_stream_split=names or False,
        )


def read(path: Path) -> tuple[pa.Table, dict[str, Any]]:
    """Return a probe's table and its metadata.

    Raises:
        BenchError: there is no such file, or it is no probe's.
    """
    try:
        rows = pq.read_table(path)
        metadata = json.loads((rows.schema.metadata or {})[METADATA_KEY])
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise BenchError(
            f"expected a probe's result, found {type(error).__name__}, in {path}; run `bench "
            "probe` again"
        ) from None
    return rows, metadata


Arrays = dict[str, npt.NDArray[Any]]
"""Column -> values of each sample: numbers as float64 with NaN for null, flags as float64 0 and 1,
text as objects; lists of numbers (N, L), NaN throughout for null."""


def arrays(rows: pa.Table) -> dict[str, Arrays]:
    """Return part -> its columns, of the samples that every part has, in increasing order.

    An interrupted run may have more samples of some parts than of others.
    """
    names = rows["attack"].cast(pa.string())
    counts = pc.value_counts(rows["sample_id"].combine_chunks())
    most = len(pc.unique(names))
    whole = counts.field("values").filter(pc.equal(counts.field("counts"), most))
    kept = pc.is_in(rows["sample_id"], whole)
    rows, names = rows.filter(kept), names.filter(kept)
    found = {}
    for part in dict.fromkeys(names.to_pylist()):
        some = rows.filter(pc.equal(names, part)).sort_by("sample_id")
        found[str(part)] = {name: _array(some[name]) for name in some.column_names}
    return found


def _array(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    values = column.to_pylist()
    if pa.types.is_list(column.type):
        length = max((len(v) for v in values if v is not None), default=0)
        empty = [np.nan] * length
        shaped = [empty if v is None else v for v in values]
        return np.array(shaped, dtype=np.float64).reshape(len(values), length)
    if pa.types.is_string(column.type) or pa.types.is_dictionary(column.type):
        return np.array(values, dtype=object)
    return np.array([np.nan if v is None else v for v in values], dtype=np.float64)
