"""One hash of a result's rows: what must be the same whoever measured them, in whatever order."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest


def rows_sha256(file: Path) -> str:
    """Return the SHA-256 of a file's rows but for times: every bit of every column, in order."""
    table = pq.read_table(file).drop_columns(["seconds"]).replace_schema_metadata(None)
    plain = pa.schema(
        [
            pa.field(f.name, pa.string() if pa.types.is_dictionary(f.type) else f.type)
            for f in table.schema
        ]
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, plain) as writer:
        writer.write_table(table.cast(plain).combine_chunks())
    return hashlib.sha256(sink.getvalue()).hexdigest()


def needs(lacking: str | None) -> None:
    """Skip a test whose service is not there; where CI is set, fail."""
    if lacking is None:
        return
    if os.environ.get("CI"):
        pytest.fail(f"a service is missing where CI is set: {lacking}")
    pytest.skip(lacking)
