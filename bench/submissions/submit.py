"""From a complete result to a compact submission that passes the checks."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from bench.entries.rules import rules
from bench.errors import BenchError
from bench.files import atomic
from bench.results.address import beside, blocks_beside
from bench.results.compact import compact_metadata, compact_rows, write_extras, write_rows
from bench.results.metadata import VERSION
from bench.results.store import read_metadata
from bench.submissions.check.check import check_submission
from bench.submissions.check.places import Place, max_bytes
from bench.submissions.check.problems import Problem


def submit(source: Path, submissions: Path) -> tuple[list[Path], list[Problem]]:
    """Write the compact form of a result to its place, if it passes every check.

    Args:
        source: `.../<protocol>/<dataset>/<model>.parquet`, as `bench eval` wrote it.
        submissions: folder of submissions.

    Returns:
        The files that were written and no problems, or no files and what is wrong.

    Raises:
        BenchError: the source is missing or not one of ours.
    """
    if not source.is_file():
        if blocks_beside(source).is_dir():
            raise BenchError(
                f"expected a result at {source}, found an unfinished run; give the same "
                "`bench eval` command again, it goes on where it was"
            )
        raise BenchError(
            f"expected a result at {source}, found none; measure it with `bench eval` first, or "
            "name its folder with --results"
        )
    name, dataset, protocol = source.stem, source.parent.name, source.parent.parent.name
    known = rules(protocol, dataset)
    metadata = _public(compact_metadata(read_metadata(source), known, name))
    target = submissions / protocol / dataset / source.name
    with _temporary() as folder:
        trial = Path(folder) / protocol / dataset / source.name
        trial.parent.mkdir(parents=True)
        rows, means = compact_rows(source, known, name)
        write_rows(rows, trial, metadata)
        made = [Place(trial, protocol, dataset, name, ".parquet")]
        side = beside(source, "extras")
        if side.exists():
            small = trial.with_name(side.name)
            room = max_bytes(name, VERSION) - trial.stat().st_size
            attacks = [*known.needed(name), *known.witnesses]
            write_extras(side, small, means, attacks, room, examples="@" not in name)
            made.append(Place(small, protocol, dataset, name, ".extras.parquet"))
        problems = check_submission(made)
        if problems:
            there = [str(target.with_name(Path(p.file).name)) for p in problems]
            return [], [
                Problem(file, p.where, p.text, p.remedy)
                for file, p in zip(there, problems, strict=True)
            ]
        written = [target.with_name(place.path.name) for place in made]
        for place, path in zip(made, written, strict=True):
            with atomic(path) as temporary:
                temporary.write_bytes(place.path.read_bytes())
    return written, []


@contextmanager
def _temporary() -> Iterator[str]:
    """Give a temporary folder; a disk that is full there is one clear line.

    Raises:
        BenchError: there is no such folder, or it can't be written.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="bench-submit-") as folder:
            yield folder
    except OSError as error:
        where = tempfile.tempdir or os.environ.get("TMPDIR") or "the folder of temporary files"
        raise BenchError(
            f"expected to write temporary files in {where}, found: {error.strerror or error}; free "
            "space there, or name another folder in the variable TMPDIR"
        ) from error


def _public(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out where things lie on the submitter's machine: absolute paths become names."""

    def clean(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: clean(v) for key, v in value.items()}
        if isinstance(value, list):
            return [clean(v) for v in value]
        if isinstance(value, str) and PurePosixPath(value).is_absolute():
            return PurePosixPath(value).name
        if isinstance(value, str) and PureWindowsPath(value).drive and "://" not in value:
            return PureWindowsPath(value).name
        return value

    result: dict[str, Any] = clean(metadata)
    return result
