"""Verification records: `<model>.verify.json` beside a submission."""

from __future__ import annotations

import getpass
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from bench.entries.fields import Frozen, Sha256
from bench.files import atomic
from bench.results.read import file_sha256
from bench.submissions.check.places import MAX_RECORD
from bench.submissions.check.problems import Findings, short
from bench.submissions.verify.judge import conclude

Text = Annotated[str, Field(max_length=200)]
Number = Annotated[int, Field(ge=0, le=100_000)]

CLOCK = timedelta(days=1)
"""A record may be so far ahead of this clock."""
MOST = 100
"""Records in one file."""
REWRITE = "write it with `bench verify`"


class Record(Frozen):
    """One verification."""

    who: Text
    when: Text
    """UTC, ISO 8601."""
    file_sha256: Sha256
    """Of the result that was verified; a record for another file does not count."""
    extras_sha256: Sha256 | None = None
    """Of its side file of spectra and example images, likewise; None: not verified."""
    secret_sha256: Sha256
    """Commitment to the secret that chose the rows; reveal the secret to prove the choice."""
    hardware: Text
    versions: dict[Text, Text] = Field(max_length=100)
    rows: Number = Field(ge=1)
    """Rows that were measured again."""
    of_rows: Number = Field(ge=1)
    reproduced: Number
    unsettled: Number
    """Rows that are off a little, or that differ here from one batch to another as well."""
    contradicted: Number
    others: tuple[Text, ...] = Field(default=(), max_length=20)
    """What else was compared and differs: metadata, example images, mean maps."""
    verdict: Literal["reproduced", "contradicted"]
    signature: str | None = Field(default=None, max_length=4000)
    """`ssh-keygen -Y sign` over :func:`signed_bytes`, armored."""

    def content(self) -> dict[str, Any]:
        """Return the record as JSON says it; what is not there is left out."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def signed_bytes(self) -> bytes:
        """Return what a signature is over: the record without it, as canonical JSON."""
        content = {key: value for key, value in self.content().items() if key != "signature"}
        return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


class Records(Frozen):
    """The whole file."""

    records: tuple[Record, ...] = Field(min_length=1, max_length=MOST)


def user() -> str:
    """Return the user's name; the number where no account has it."""
    try:
        return os.environ.get("USER") or getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def read_records(path: Path) -> tuple[Record, ...]:
    """Read a file of records.

    Raises:
        ValueError: not such a file.
    """
    try:
        if path.stat().st_size > MAX_RECORD:
            raise ValueError(f"expected at most {MAX_RECORD:,} bytes")
        return Records.model_validate_json(path.read_bytes()).records
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ValueError(f"{key}: {first['msg']}") from None
    except (OSError, RecursionError) as error:
        raise ValueError(str(error)) from None


def records_path(result: Path) -> Path:
    """Return where the records of a result are."""
    return result.with_name(f"{result.stem}.verify.json")


def records_of(result: Path) -> tuple[Record, ...]:
    """Return the records that belong to this very result and its side file, oldest first.

    None without a readable file of records: `bench check` says what is wrong with it.
    """
    try:
        found = read_records(records_path(result))
        digest = file_sha256(result)
        extras = result.with_name(f"{result.stem}.extras.parquet")
        side = file_sha256(extras) if extras.exists() else None
    except (OSError, ValueError):
        return ()
    mine = [r for r in found if r.file_sha256 == digest and r.extras_sha256 in (None, side)]
    return tuple(sorted(mine, key=lambda record: record.when))


def standing(records: tuple[Record, ...]) -> Record | None:
    """Return the record that counts: a contradicted one whatever its date, else the latest."""
    against = [record for record in records if record.verdict == "contradicted"]
    return max(against or records, key=lambda record: record.when, default=None)


def check_records(path: Path, findings: Findings) -> None:
    """Check a file of records."""
    try:
        found = read_records(path)
    except ValueError as error:
        text = f"expected verification records: {short(str(error), 160)}"
        findings.add("", text, REWRITE)
        return
    for number, record in enumerate(found):
        for text in _problems(record):
            findings.add(f"record {number}", text, REWRITE)


def _problems(record: Record) -> list[str]:
    found = []
    counted = record.reproduced + record.unsettled + record.contradicted
    if counted != record.rows or record.rows > record.of_rows:
        found.append(f"expected counts that add up to {record.rows}, found {counted}")
    else:
        wanted = conclude(record.rows, record.unsettled, record.contradicted, len(record.others))
        if wanted != record.verdict:
            found.append(f"expected a verdict as the counts say, found {record.verdict}")
    try:
        when = datetime.fromisoformat(record.when)
        if when.tzinfo is None or when > datetime.now(UTC) + CLOCK:
            found.append(f"expected a past time in UTC, found {short(record.when)}")
    except ValueError:
        found.append(f"expected an ISO 8601 time, found {short(record.when)}")
    return found


def append_record(path: Path, record: Record) -> None:
    """Add a record to a file, which may not be there yet."""
    try:
        old = read_records(path) if path.exists() else ()
    except ValueError:
        # whatever a stranger put there is no reason to lose what was just measured
        old = ()
    if len(old) >= MOST:
        old = tuple(one for one in old if one.file_sha256 == record.file_sha256)[1 - MOST :]
    content = {"records": [one.content() for one in (*old, record)]}
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n")
