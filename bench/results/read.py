"""Submissions on disk: finding them, and reading the columns that the board needs."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bench.entries.fields import is_side_kind
from bench.entries.rules import Rules, rules_for
from bench.errors import BenchError
from bench.metrics import readable
from bench.results.challenges import best_known
from bench.results.metadata import Metadata, from_bytes
from bench.results.samples import COLUMNS, SHOWN, Samples, arrange
from bench.results.schema import METADATA_KEY
from bench.results.study_blocks import STUDIES
from bench.results.transform import transform_text

ERRORS = (pa.ArrowException, OSError, ValueError, TypeError, KeyError, RecursionError)
"""What a damaged file may raise."""


@dataclass(frozen=True)
class Submission:
    """One submitted result: its file, its metadata and the rules it was measured under."""

    path: Path
    metadata: Metadata
    rules: Rules

    @property
    def name(self) -> str:
        """`<model>[@random][@seedN]`."""
        return self.path.stem

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the model's input."""
        return self.metadata.size

    @property
    def key(self) -> tuple[str, str, str, int, int]:
        """What must agree for results to share a table."""
        _, height, width = self.input_shape
        rules = self.rules
        return rules.dataset.name, rules.protocol.name, rules.hash, height, width

    @property
    def transform(self) -> str | None:
        """What images pass before the model sees them, in words; None where the file says nothing.

        From the settings, not from a text: a submission is a stranger's file.
        """
        settings = self.metadata.preprocessing
        return transform_text(settings, self.rules.dataset.transform)

    @cached_property
    def records(self) -> list[dict[str, Any]]:
        """Verification records that belong to this very file."""
        side = self.path.with_name(self.name + ".verify.json")
        if not side.exists():
            return []
        try:
            found = json.loads(side.read_text())["records"]
            digest = file_sha256(self.path)
            return [r for r in found if r.get("file_sha256") == digest]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return []


@dataclass(frozen=True)
class Unusable:
    """A file that can't be shown, and why."""

    path: Path
    reason: str


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def is_result(path: Path) -> bool:
    """Return whether a path is named like a result, not like a side file or a study's block."""
    kind = path.name.removesuffix(".parquet").rpartition(".")[2]
    block = path.parent.parent.name == STUDIES
    return path.suffix == ".parquet" and not is_side_kind(kind) and not block


def find(folder: Path) -> list[Path]:
    """Return every result under `<folder>/<protocol>/<dataset>/`, sorted."""
    return [path for path in sorted(folder.glob("*/*/*.parquet")) if is_result(path)]


def open_file(path: Path) -> pq.ParquetFile:
    """Open a Parquet file without pyarrow's search for a filesystem, which costs as much again."""
    return pq.ParquetFile(pa.OSFile(str(path)), read_dictionary=["status"], pre_buffer=False)


def stored_columns(path: Path) -> dict[str, tuple[str, int | None]]:
    """Return column -> kind ("string", "bool", "int", "float") and length of a list of them.

    Raises:
        BenchError: unreadable.
    """
    try:
        with open_file(path) as file:
            return {field.name: _kind(field.type) for field in file.schema_arrow}
    except ERRORS as error:
        raise BenchError(f"{path}: unreadable ({type(error).__name__})") from None


def _kind(type_: pa.DataType) -> tuple[str, int | None]:
    if pa.types.is_dictionary(type_):
        return _kind(type_.value_type)
    if pa.types.is_fixed_size_list(type_):
        return _kind(type_.value_type)[0], type_.list_size
    if pa.types.is_boolean(type_):
        return "bool", None
    if pa.types.is_integer(type_):
        return "int", None
    return ("float" if pa.types.is_floating(type_) else "string"), None


def read(path: Path) -> tuple[Submission, Samples]:
    """Read one submission, opening its file once.

    Raises:
        BenchError: unreadable, partial, or of a protocol that is not the registry's.
    """
    try:
        with open_file(path) as file:
            submission = _submission(file, path)
            if submission.metadata.partial:
                raise BenchError("partial: measured on fewer samples than the protocol's")
            return submission, _read(file, submission)
    except ERRORS as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BenchError(f"{path}: unreadable ({text})") from None


def open_submission(path: Path) -> Submission:
    """Read what a result says of its making; its rows stay unread.

    Raises:
        BenchError: unreadable, or of a protocol that is not the registry's.
    """
    try:
        with open_file(path) as file:
            return _submission(file, path)
    except KeyError:
        raise BenchError(
            f"expected a result file of this project at {path}, found another Parquet file"
        ) from None
    except ERRORS as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BenchError(f"{path}: unreadable ({text})") from None


def _submission(file: pq.ParquetFile, path: Path) -> Submission:
    metadata = from_bytes((file.schema_arrow.metadata or {}).get(METADATA_KEY), str(path))
    return Submission(path, metadata, rules_for(metadata.identity))


def read_samples(submission: Submission) -> Samples:
    """Read the rows of a submission that is known.

    Raises:
        BenchError: unreadable, or a column is missing or of another type.
    """
    try:
        with open_file(submission.path) as file:
            return _read(file, submission)
    except ERRORS as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BenchError(f"{submission.path}: unreadable ({text})") from None


def _read(file: pq.ParquetFile, submission: Submission) -> Samples:
    stated = {m.name for m in readable(submission.metadata.metrics)}
    norms = sorted({s.norm for s in submission.rules.everything.values()})
    wanted = [*COLUMNS, *(name for name in dict.fromkeys((*SHOWN, *norms)) if name in stated)]
    table = file.read(columns=wanted, use_threads=False)
    missing = sorted(set(wanted) - set(table.column_names))
    if missing:
        raise ValueError(f"no column {missing[0]}")
    rules, weights = submission.rules, submission.metadata.weights_sha256
    rows = arrange(table, rules)
    try:
        challenged = best_known(submission.path, weights, rules.ids)
    except (BenchError, *ERRORS):
        challenged = {}  # `bench check` says what is wrong with it; the row stands without
    return replace(rows, challenged=challenged)
