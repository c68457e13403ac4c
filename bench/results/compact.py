"""The compact form of a result, for submissions: profiles halved, everything packed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bench.results import schema
from bench.results.store import read_rows

PROFILES = ("radial_energy", "log_luma_profile")
NAMES = ("protocol", "protocol_hash", "model", "dataset", "attack", "status")


def write_rows(source: Path, target: Path, metadata: Mapping[str, Any]) -> None:
    """Write a result's rows: profiles as float16, numbers split by byte.

    Args:
        source: as `bench eval` wrote it.
        target: the new file; its folder exists.
        metadata: what goes under the schema key `bench`.
    """
    table = read_rows(source)
    fields, arrays = [], []
    for field in schema.ROWS:
        column = table[field.name].combine_chunks()
        if field.name in PROFILES:
            kind = pa.list_(pa.float16(), field.type.list_size)
            field, column = pa.field(field.name, kind), column.cast(kind)
        fields.append(field)
        arrays.append(column)
    raw = pa.schema(fields, metadata={schema.METADATA_KEY: json.dumps(metadata, sort_keys=True)})
    numbers = [f.name for f in raw if pa.types.is_float64(f.type)]
    split = dict.fromkeys(numbers, "BYTE_STREAM_SPLIT")
    split |= {f"{name}.list.element": "BYTE_STREAM_SPLIT" for name in PROFILES}
    pq.write_table(
        pa.Table.from_arrays(arrays, schema=raw),
        target,
        compression="zstd",
        compression_level=15,
        use_dictionary=list(NAMES),
        column_encoding=split,
        row_group_size=1 << 20,
    )


def write_extras(source: Path, target: Path, room: int) -> None:
    """Write a side file with as many example images as there is room for.

    Args:
        source: as `bench eval` wrote it.
        target: the new file; its folder exists.
        room: bytes; the mean spectra are kept even if they alone are more.
    """
    rows = pq.read_table(source).to_pylist()
    # the last example of each attack goes first, so that every attack keeps some
    rank: dict[str, int] = {}
    order = []
    for row in rows:
        example = row["kind"] == "example"
        rank[row["attack"]] = rank.get(row["attack"], 0) + example
        order.append((rank[row["attack"]] if example else 0, row))
    for most in range(max([r for r, _ in order], default=0), -1, -1):
        table = pa.Table.from_pylist([row for r, row in order if r <= most], schema=schema.EXTRAS)
        pq.write_table(table, target, compression="zstd", compression_level=15)
        if target.stat().st_size <= room:
            return
