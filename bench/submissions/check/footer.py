"""Looking at a Parquet file from outside before anything in it is believed."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bench.results import schema
from bench.results.bounds import load_json
from bench.submissions.check.problems import Findings, short

MAX_FOOTER = 2_000_000
MAX_ROW_GROUPS = 64
MAX_UNCOMPRESSED = 64_000_000
"""Declared bytes of a submission once unpacked; a real one has about 6 million."""
REMAKE = "make it again with `bench submit`"


def open_checked(path: Path, max_rows: int, findings: Findings) -> pq.ParquetFile | None:
    """Open a file if what it declares is reasonable.

    Args:
        path: the file.
        max_rows: most rows that it may declare.
        findings: gets what is wrong.

    Returns:
        None if it can't be read safely; the findings say why.
    """
    if not _frame(path, findings):
        return None
    try:
        file = pq.ParquetFile(path, pre_buffer=False)
        declared = file.metadata
    except (pa.ArrowException, OSError, ValueError, RuntimeError, MemoryError) as error:
        findings.add("", f"expected a readable Parquet footer: {_first(error)}", REMAKE)
        return None
    before = len(findings.problems)
    if declared.num_rows > max_rows or declared.num_rows < 0:
        findings.add("", f"expected at most {max_rows} rows, found {declared.num_rows}", REMAKE)
    if declared.num_row_groups > MAX_ROW_GROUPS:
        findings.add(
            "", f"expected at most {MAX_ROW_GROUPS} row groups, found {declared.num_row_groups}",
            REMAKE,
        )  # fmt: skip
    else:
        sizes = [declared.row_group(i).total_byte_size for i in range(declared.num_row_groups)]
        if sum(sizes) > MAX_UNCOMPRESSED or min(sizes, default=0) < 0:
            findings.add(
                "",
                f"expected at most {MAX_UNCOMPRESSED:,} bytes unpacked, found {sum(sizes):,}",
                REMAKE,
            )
    return file if len(findings.problems) == before else None


def _frame(path: Path, findings: Findings) -> bool:
    """Check magic and footer length by hand: pyarrow would allocate what the file declares."""
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            head = stream.read(4)
            stream.seek(max(0, size - 8))
            tail = stream.read(8)
    except OSError as error:
        findings.add("", f"expected a readable file: {error.strerror}", REMAKE)
        return False
    if size < 12 or head != b"PAR1" or tail[4:] != b"PAR1":
        kind = "an encrypted Parquet file" if tail[4:] == b"PARE" else "something else"
        findings.add("", f"expected a whole Parquet file, found {kind} of {size} bytes", REMAKE)
        return False
    (length,) = struct.unpack("<I", tail[:4])
    if length > min(MAX_FOOTER, size - 12):
        findings.add(
            "", f"expected a Parquet footer of at most {min(MAX_FOOTER, size - 12):,} bytes, "
            f"found {length:,} declared", REMAKE,
        )  # fmt: skip
        return False
    return True


def check_columns(file: pq.ParquetFile, wanted: pa.Schema, findings: Findings) -> bool:
    """Check names and types of the columns; False if there is a problem."""
    before = len(findings.problems)
    try:
        found = file.schema_arrow
    except (pa.ArrowException, OSError, ValueError, RuntimeError, MemoryError) as error:
        findings.add("", f"expected readable columns: {_first(error)}", REMAKE)
        return False
    names = found.names
    for name in sorted(set(names), key=names.index):
        if names.count(name) > 1:
            findings.add(f"column {short(name)}", "expected it once, found it twice", REMAKE)
        elif name not in wanted.names:
            findings.add(f"column {short(name)}", "expected no such column", REMAKE)
    for field in wanted:
        if field.name not in names:
            findings.add(f"column {field.name}", "expected this column, found none", REMAKE)
        elif names.count(field.name) == 1:
            kind = found.field(field.name).type
            if not any(kind.equals(allowed) for allowed in _allowed(field.type)):
                findings.add(
                    f"column {field.name}", f"expected type {field.type}, found {short(kind)}",
                    REMAKE,
                )  # fmt: skip
    return len(findings.problems) == before


def _allowed(kind: pa.DataType) -> list[pa.DataType]:
    """A column's type, and the others that hold the same (profiles may be float16)."""
    if pa.types.is_dictionary(kind):
        return [kind, pa.string()]
    if pa.types.is_string(kind):
        return [kind, pa.dictionary(pa.int32(), pa.string())]
    if pa.types.is_fixed_size_list(kind):
        size = kind.list_size
        return [pa.list_(value, size) for value in (pa.float32(), pa.float16())]
    return [kind]


def read_columns(file: pq.ParquetFile, findings: Findings) -> pa.Table | None:
    """Read all rows; None if the data behind the footer are broken."""
    try:
        table = file.read(use_threads=False)
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, RuntimeError, MemoryError) as error:
        findings.add("", f"expected readable rows: {_first(error)}", REMAKE)
        return None
    return table


def read_bench_metadata(file: pq.ParquetFile, findings: Findings) -> dict[str, Any] | None:
    """Return the JSON under the schema key `bench`; None if there is none or it is broken."""
    try:
        raw = (file.schema_arrow.metadata or {}).get(schema.METADATA_KEY)
    except (pa.ArrowException, OSError, ValueError, RuntimeError, MemoryError) as error:
        findings.add("metadata", f"expected a readable Parquet footer: {_first(error)}", REMAKE)
        return None
    if raw is None:
        findings.add("metadata", "expected JSON under the key 'bench', found no such key", REMAKE)
        return None
    try:
        found = load_json(raw)
    except ValueError as error:
        findings.add("metadata", str(error), REMAKE)
        return None
    if not isinstance(found, dict):
        findings.add("metadata", f"expected a JSON object, found {type(found).__name__}", REMAKE)
        return None
    return found


def _first(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return short(text[0] if text else type(error).__name__, 160)
