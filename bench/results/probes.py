"""Files of probes: `results/probes/<dataset>/<model>.<probe>.parquet`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bench.errors import BenchError
from bench.results.address import Address
from bench.results.filesystem import FileSystem
from bench.results.schema import METADATA_KEY

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


THEORY = pa.schema(
    [
        pa.field("weights", pa.string()),
        pa.field("statement", pa.string()),
        pa.field("scope", pa.string()),
        pa.field("status", pa.string()),
        pa.field("quantity", pa.string()),
        pa.field("n", pa.int64()),
        pa.field("low", pa.float64()),
        pa.field("median", pa.float64()),
        pa.field("high", pa.float64()),
        pa.field("share", pa.float64()),
    ]
)
"""One row a statement (`bench.theory.statements.Statement`); weights "trained", "untrained", or
"none" where it needs no net."""


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
    with files.put(address.file) as stream:
        pq.write_table(rows.replace_schema_metadata(raw), stream, compression="zstd")


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
