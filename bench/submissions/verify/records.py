"""Verification records: `<model>.verify.json` beside a submission."""

from __future__ import annotations

import getpass
import json
import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from bench.entries.fields import Frozen, Sha256
from bench.submissions.check.places import MAX_RECORD
from bench.submissions.check.problems import Findings, short
from bench.submissions.verify.judge import conclude

Text = Annotated[str, Field(max_length=200)]


class Record(Frozen):
    """One verification."""

    who: Text
    when: Text
    """UTC, ISO 8601."""
    file_sha256: Sha256
    """Of the result that was verified; a record for another file does not count."""
    secret_sha256: Sha256
    """Commitment to the secret that chose the rows; reveal the secret to prove the choice."""
    hardware: Text
    versions: dict[str, str]
    rows: int = Field(ge=1)
    """Rows that were measured again."""
    of_rows: int = Field(ge=1)
    reproduced: int = Field(ge=0)
    unsettled: int = Field(ge=0)
    """Rows that are off a little, or that differ here from one batch to another as well."""
    contradicted: int = Field(ge=0)
    verdict: Literal["reproduced", "contradicted"]


class Records(Frozen):
    """The whole file."""

    records: tuple[Record, ...] = Field(min_length=1, max_length=100)


def user() -> str:
    """Return the user's name; the number where no account has it."""
    try:
        return os.environ.get("USER") or getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def read_records(path: Path) -> Records:
    """Read a file of records.

    Raises:
        ValueError: not such a file.
    """
    if path.stat().st_size > MAX_RECORD:
        raise ValueError(f"expected at most {MAX_RECORD:,} bytes")
    try:
        return Records.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ValueError(f"{key}: {first['msg']}") from None


def check_records(path: Path, findings: Findings) -> None:
    """Check a file of records."""
    try:
        found = read_records(path)
    except (OSError, ValueError, RecursionError) as error:
        text = f"expected verification records: {short(str(error), 160)}"
        findings.add("", text, "write it with `bench verify`")
        return
    for number, record in enumerate(found.records):
        counted = record.reproduced + record.unsettled + record.contradicted
        if counted != record.rows or record.rows > record.of_rows:
            findings.add(
                f"record {number}",
                f"expected counts that add up to {record.rows}, found {counted}",
                "write it with `bench verify`",
            )
        if conclude(record.rows, record.unsettled, record.contradicted) != record.verdict:
            findings.add(
                f"record {number}",
                f"expected a verdict as the counts say, found {record.verdict}",
                "write it with `bench verify`",
            )


def append_record(path: Path, record: Record) -> None:
    """Add a record to a file, which may not be there yet."""
    from bench.files import atomic

    old = read_records(path).records if path.exists() else ()
    content = Records(records=(*old, record)).model_dump(mode="json")
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n")
