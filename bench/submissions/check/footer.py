"""Looking at a Parquet file from outside before anything in it is believed."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from bench.results.bounds import load_json
from bench.results.columns import Columns
from bench.results.untrusted import Schema, Unreadable, UntrustedFile
from bench.submissions.check.problems import Findings, short

MAX_FOOTER = 2_000_000
MAX_ROW_GROUPS = 64
MAX_UNCOMPRESSED = 64_000_000
"""Declared bytes of a submission once unpacked; a real one has about 6 million."""
REMAKE = "make it again with `bench submit`"


def open_checked(path: Path, max_rows: int, findings: Findings) -> UntrustedFile | None:
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


def check_columns(file: UntrustedFile, wanted: Schema, findings: Findings) -> bool:
    """Check names and types of the columns; False if there is a problem."""
    before = len(findings.problems)
    for name, text, found in file.differences(wanted):
        text += "" if found is None else f", found {short(found)}"
        findings.add(f"column {short(name) if name not in wanted.names else name}", text, REMAKE)
    return len(findings.problems) == before


def read_columns(file: UntrustedFile, findings: Findings) -> Columns | None:
    """Read all rows; None if the data behind the footer are broken."""
    try:
        return file.read()
    except Unreadable as error:
        findings.add("", f"expected readable rows: {_first(error)}", REMAKE)
        return None


def read_bench_metadata(file: UntrustedFile, findings: Findings) -> dict[str, Any] | None:
    """Return the JSON under the schema key `bench`; None if there is none or it is broken."""
    return read_metadata_text(file.metadata, findings)


def read_metadata_text(raw: bytes | None, findings: Findings) -> dict[str, Any] | None:
    """Return the JSON object that a text is; None if there is none or it is broken."""
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
