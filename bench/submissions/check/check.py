"""Checking submissions: every problem at once, and nothing of a submission is ever run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.entries.rules import Rules, rules
from bench.errors import BenchError
from bench.results import schema
from bench.results.metadata import Metadata
from bench.results.study_blocks import STUDIES
from bench.results.untrusted import Schema
from bench.submissions.check.check_extras import check_extras
from bench.submissions.check.check_metadata import check_metadata
from bench.submissions.check.check_numbers import check_numbers
from bench.submissions.check.check_rows import check_rows
from bench.submissions.check.copies import Sketch, sketch
from bench.submissions.check.footer import (
    check_columns,
    open_checked,
    read_bench_metadata,
    read_columns,
)
from bench.submissions.check.places import Place, max_bytes
from bench.submissions.check.problems import Findings, Problem
from bench.submissions.check.rows import Rows
from bench.submissions.check.study_block import check_block
from bench.submissions.verify.records import check_records


def check_submission(places: Sequence[Place]) -> list[Problem]:
    """Return every problem of the files of one submission.

    Args:
        places: its result and side files; they share folder and name.
    """
    return judge_submission(places)[0]


def judge_submission(places: Sequence[Place]) -> tuple[list[Problem], Sketch | None]:
    """Return every problem of one submission, and what tells it from copies if it has rows.

    Args:
        places: its result and side files; they share folder and name.
    """
    if places[0].protocol == STUDIES:
        return check_block(places[0]), None
    by_kind = {place.kind: place for place in places}
    problems: list[Problem] = []
    rows: Rows | None = None
    told: Sketch | None = None
    result = by_kind.get(".parquet")
    first = places[0]
    if result is None and not first.path.with_name(f"{first.name}.parquet").exists():
        findings = Findings(str(first.path))
        text = f"expected {first.name}.parquet beside it, found none"
        findings.add("", text, "submit the result with `bench submit`")
        problems += findings.problems
    elif result is not None:
        findings = Findings(str(result.path))
        rows, told = _result(result, findings)
        total = sum(p.path.stat().st_size for p in places if p.kind.endswith(".parquet"))
        limit = max_bytes(result.name, schema.VERSION if rows is None else rows.version)
        if total > limit:
            text = f"expected at most {limit:,} bytes with its side file, found {total:,}"
            findings.add("", text, "make both with `bench submit`")
        problems += findings.problems
    if (side := by_kind.get(".extras.parquet")) is not None:
        findings = Findings(str(side.path))
        check_extras(side, rows, findings)
        problems += findings.problems
    if (record := by_kind.get(".verify.json")) is not None:
        findings = Findings(str(record.path))
        check_records(record.path, findings)
        problems += findings.problems
    return problems, told


def check_result(place: Place, findings: Findings) -> Rows | None:
    """Check one result file; return its rows if they could be judged."""
    return _result(place, findings)[0]


def _result(place: Place, findings: Findings) -> tuple[Rows | None, Sketch | None]:
    found = _rules(place, findings)
    if found is None:
        return None, None
    most = 2 * len(found.everything) * len(found.ids)
    file = open_checked(place.path, most, findings)
    if file is None:
        return None, None
    meta = read_bench_metadata(file, findings)
    entry, metadata = None, None
    if meta is not None:
        entry, metadata = check_metadata(meta, place, found, findings)
    if not check_columns(file, _columns(metadata), findings):
        return None, None
    table = read_columns(file, findings)
    if table is None or len(table) == 0:
        if table is not None:
            findings.add("", "expected rows, found none")
        return None, None
    data = found.dataset
    size = entry.input_size if entry is not None and entry.input_size else data.size
    shape: tuple[int, int, int] = (data.channels, size, size)
    if metadata is not None and _sane(metadata.size, data.channels):
        shape = metadata.size
    rows = Rows(table, found, shape, place.name, metadata)
    if not check_rows(rows, place, findings):
        return None, None
    check_numbers(rows, findings)
    return rows, sketch(place, rows, meta or {})


def _columns(metadata: Metadata | None) -> Schema:
    """Return the columns that a file must have; the present ones if it does not say."""
    if metadata is None:
        return schema.ROWS
    return schema.rows(metadata.schema_version, metadata.metrics)


def _sane(shape: tuple[int, int, int], channels: int) -> bool:
    return shape[0] == channels and all(8 <= side <= 1024 for side in shape[1:])


def _rules(place: Place, findings: Findings) -> Rules | None:
    try:
        return rules(place.protocol, place.dataset)
    except BenchError as error:
        findings.add("", f"expected a protocol and data set of the registry: {error}", "move it")
        return None


def group(places: Sequence[Place]) -> list[list[Place]]:
    """Return the files of each submission together, sorted by path."""
    found: dict[Path, list[Place]] = {}
    for place in sorted(places, key=lambda p: str(p.path)):
        found.setdefault(place.path.with_name(place.name), []).append(place)
    return list(found.values())
