"""Looking at a Parquet file from outside before anything in it is believed."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from bench.results.columns import Columns
from bench.results.untrusted import Schema, Unreadable, UntrustedFile
from bench.submissions.check.problems import Findings, short

MAX_FOOTER = 2_000_000
MAX_ROW_GROUPS = 64
MAX_UNCOMPRESSED = 64_000_000
"""Declared bytes of a submission once unpacked; a real one has about 6 million."""
MAX_METADATA = 1_000_000
REMAKE = "make it again with `bench submit`"


def open_checked(
    path: Path, columns: Schema, max_rows: int, findings: Findings
) -> UntrustedFile | None:
    """Open a file if what it declares is reasonable.

    Args:
        path: the file.
        columns: what it must hold.
        max_rows: most rows that it may declare.
        findings: gets what is wrong.

    Returns:
        None if it can't be read safely; the findings say why.
    """
    if not _frame(path, findings):
        return None
    try:
        file = UntrustedFile(path)
    except Unreadable as error:
        findings.add("", f"expected a readable Parquet footer: {_first(error)}", REMAKE)
        return None
    before = len(findings.problems)
    if file.rows > max_rows or file.rows < 0:
        findings.add("", f"expected at most {max_rows} rows, found {file.rows}", REMAKE)
    if file.row_groups > MAX_ROW_GROUPS:
        text = f"expected at most {MAX_ROW_GROUPS} row groups, found {file.row_groups}"
        findings.add("", text, REMAKE)
    else:
        sizes = file.group_bytes()
        if sum(sizes) > MAX_UNCOMPRESSED or min(sizes, default=0) < 0:
            findings.add(
                "",
                f"expected at most {MAX_UNCOMPRESSED:,} bytes unpacked, found {sum(sizes):,}",
                REMAKE,
            )
    for name, text, found in file.differences(columns):
        text += "" if found is None else f", found {short(found)}"
        findings.add(f"column {short(name) if name not in columns.names else name}", text, REMAKE)
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


def read_columns(file: UntrustedFile, findings: Findings) -> Columns | None:
    """Read all rows; None if the data behind the footer are broken."""
    try:
        return file.read()
    except Unreadable as error:
        findings.add("", f"expected readable rows: {_first(error)}", REMAKE)
        return None


def read_bench_metadata(file: UntrustedFile, findings: Findings) -> dict[str, Any] | None:
    """Return the JSON under the schema key `bench`; None if there is none or it is broken."""
    raw = file.metadata
    if raw is None:
        findings.add("metadata", "expected JSON under the key 'bench', found no such key", REMAKE)
        return None
    if len(raw) > MAX_METADATA:
        findings.add(
            "metadata", f"expected at most {MAX_METADATA:,} bytes, found {len(raw):,}", REMAKE
        )
        return None
    try:
        found = json.loads(raw, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        findings.add("metadata", f"expected JSON under the key 'bench': {_first(error)}", REMAKE)
        return None
    if not isinstance(found, dict):
        findings.add("metadata", f"expected a JSON object, found {type(found).__name__}", REMAKE)
        return None
    return found


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


def _first(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return short(text[0] if text else type(error).__name__, 160)
