"""From a complete result to a compact submission that passes the checks."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bench.errors import BenchError
from bench.files import atomic
from bench.results import schema
from bench.results.store import read_metadata, read_rows
from bench.submissions.check.check import check_submission
from bench.submissions.check.places import MAX_BYTES, Place
from bench.submissions.check.problems import Problem

PROFILES = ("radial_energy", "log_luma_profile")
NAMES = ("protocol", "protocol_hash", "model", "dataset", "attack", "status")


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
        if source.with_name(f"{source.stem}.blocks").is_dir():
            raise BenchError(
                f"expected a result at {source}, found an unfinished run; give the same "
                "`bench eval` command again, it goes on where it was"
            )
        raise BenchError(
            f"expected a result at {source}, found none; measure it with `bench eval` first, or "
            "name its folder with --results"
        )
    metadata = _public(read_metadata(source))
    name, dataset, protocol = source.stem, source.parent.name, source.parent.parent.name
    target = submissions / protocol / dataset / source.name
    with _temporary() as folder:
        trial = Path(folder) / protocol / dataset / source.name
        trial.parent.mkdir(parents=True)
        _write_rows(source, trial, metadata)
        made = [Place(trial, protocol, dataset, name, ".parquet")]
        side = source.with_name(f"{name}.extras.parquet")
        if side.exists():
            small = trial.with_name(side.name)
            _write_extras(side, small, MAX_BYTES - trial.stat().st_size)
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


def _write_rows(source: Path, target: Path, metadata: Mapping[str, Any]) -> None:
    """Profiles as float16, numbers split by byte, everything packed hard."""
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


def _write_extras(source: Path, target: Path, room: int) -> None:
    """Write the side file with as many example images as there is room for."""
    rows = pq.read_table(source).to_pylist()
    examples = [row for row in rows if row["kind"] == "example"]
    # the last example of each attack goes first, so that every attack keeps some
    rank: dict[str, int] = {}
    order = []
    for row in examples:
        rank[row["attack"]] = rank.get(row["attack"], 0) + 1
        order.append((rank[row["attack"]], row))
    for most in range(max([r for r, _ in order], default=0), -1, -1):
        kept = [row for r, row in order if r <= most]
        chosen = [row for row in rows if row["kind"] != "example" or any(row is k for k in kept)]
        table = pa.Table.from_pylist(chosen, schema=schema.EXTRAS)
        pq.write_table(table, target, compression="zstd", compression_level=15)
        if target.stat().st_size <= room:
            return


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
