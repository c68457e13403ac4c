"""Submissions on disk: finding them, and reading the columns that the board needs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.entries import ids as sample_ids
from bench.entries.rules import Rules, rules_for
from bench.errors import BenchError
from bench.results.schema import BROKEN, METADATA_KEY
from bench.results.transform import transform_text
from bench.stats.bootstrap import Bools, Floats

SIDE_KINDS = ("extras", "clean", "perturbations")
"""Kinds of side files `<model>.<kind>.parquet`."""

ERRORS = (pa.ArrowException, OSError, ValueError, TypeError, KeyError, RecursionError)
"""What a damaged file may raise."""

COLUMNS = ("attack", "sample_id", "clean_correct", "success", "status", "zero_grad")
QUANTITIES = ("rfc", "hfe", "image_rfc", "l1", "l2", "linf")


@dataclass(frozen=True)
class Submission:
    """One submitted result: its file, its metadata and the rules it was measured under."""

    path: Path
    metadata: Mapping[str, Any]
    rules: Rules

    @property
    def name(self) -> str:
        """`<model>[@random][@seedN]`."""
        return self.path.stem

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the model's input."""
        data = self.rules.dataset
        shape = self.metadata.get("input_shape") or (data.channels, data.size, data.size)
        channels, height, width = (int(v) for v in shape)
        return channels, height, width

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
        settings = self.metadata.get("preprocessing")
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
    """Return whether a path is named like a result and not like a side file."""
    kind = path.name.removesuffix(".parquet").rpartition(".")[2]
    return path.suffix == ".parquet" and kind not in SIDE_KINDS


def find(folder: Path) -> list[Path]:
    """Return every result under `<folder>/<protocol>/<dataset>/`, sorted."""
    return [path for path in sorted(folder.glob("*/*/*.parquet")) if is_result(path)]


def open_file(path: Path) -> pq.ParquetFile:
    """Open a Parquet file without pyarrow's search for a filesystem, which costs as much again."""
    return pq.ParquetFile(pa.OSFile(str(path)), read_dictionary=["status"], pre_buffer=False)


def read(path: Path) -> tuple[Submission, Samples]:
    """Read one submission, opening its file once.

    Raises:
        BenchError: unreadable, partial, or of a protocol that is not the registry's.
    """
    try:
        with open_file(path) as file:
            raw = (file.schema_arrow.metadata or {}).get(METADATA_KEY)
            metadata = json.loads(raw) if raw is not None else None
            if not isinstance(metadata, dict):
                raise BenchError(f"expected a result file of this project at {path}")
            if metadata.get("partial"):
                raise BenchError("partial: measured on fewer samples than the protocol's")
            submission = Submission(path, metadata, rules_for(metadata))
            return submission, _read(file, submission.rules)
    except ERRORS as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BenchError(f"{path}: unreadable ({text})") from None


@dataclass(frozen=True)
class Samples:
    """The rows of one submission as arrays; A attacks, then witnesses, and n ids.

    Both are in the protocol's order; a file may hold a part of them.

    Attributes:
        present: (A, n) a row is there.
        clean_correct: (A, n).
        success: (A, n) clean-correct and fooled.
        broken: (A, n) the attack or the logits broke down, or it could not take its steps.
        zero_grad: (A, n) the loss gradient at the clean image is exactly zero.
        graded: (A, n) zero_grad was measured.
        norm: (A, n) in the attack's own norm; NaN where not attacked.
        quantities: name -> (A, n): rfc, hfe, image_rfc.
    """

    present: Bools
    clean_correct: Bools
    success: Bools
    broken: Bools
    zero_grad: Bools
    graded: Bools
    norm: Floats
    quantities: Mapping[str, Floats]

    @property
    def kept(self) -> Bools:
        """(A, n) clean-correct and fooled, with a spectrum."""
        return self.fooled & ~np.isnan(self.quantities["rfc"])

    @property
    def fooled(self) -> Bools:
        """(A, n) clean-correct and fooled by an attack that did its work."""
        return self.success & ~self.broken

    @property
    def distance(self) -> Floats:
        """(A, n) norm that fools, infinite where none was found; NaN where not attacked."""
        attacked = self.present & self.clean_correct
        return np.where(attacked, np.where(self.fooled, self.norm, np.inf), np.nan)


def read_samples(submission: Submission) -> Samples:
    """Read the rows of a submission that is known.

    Raises:
        BenchError: unreadable, or a column is missing or of another type.
    """
    try:
        with open_file(submission.path) as file:
            return _read(file, submission.rules)
    except ERRORS as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BenchError(f"{submission.path}: unreadable ({text})") from None


def _read(file: pq.ParquetFile, rules: Rules) -> Samples:
    wanted = [*COLUMNS, *QUANTITIES]
    table = file.read(columns=wanted, use_threads=False)
    missing = sorted(set(wanted) - set(table.column_names))
    if missing:
        raise ValueError(f"no column {missing[0]}")
    return _arrange(table, rules)


def _arrange(table: pa.Table, rules: Rules) -> Samples:
    attacks, ids = list(rules.everything), np.asarray(rules.ids)
    where, known = _places(table, attacks, ids)
    shape = (len(attacks), len(ids))

    in_order = known is None and np.array_equal(where, np.arange(shape[0] * shape[1]))

    def spread(values: Any, empty: Any) -> Any:
        if in_order:
            return values.reshape(shape)
        result = np.full(shape[0] * shape[1], empty)
        result[where] = values if known is None else values[known]
        return result.reshape(shape)

    def flags(name: str) -> Any:
        return pc.fill_null(table[name], False).to_numpy()

    status = table["status"].combine_chunks()
    codes = pc.fill_null(status.indices, 0).to_numpy(zero_copy_only=False)
    broken = [i for i, s in enumerate(status.dictionary.to_pylist()) if s in BROKEN]
    size = {q: table[q].to_numpy() for q in QUANTITIES}
    norms = {q: spread(size[q], np.nan) for q in {s.norm for s in rules.everything.values()}}
    return Samples(
        present=spread(np.ones(len(table), dtype=bool), False),
        clean_correct=spread(flags("clean_correct"), False),
        success=spread(flags("success") & flags("clean_correct"), False),
        broken=spread(np.isin(codes, broken), False),
        zero_grad=spread(flags("zero_grad"), False),
        graded=spread(table["zero_grad"].is_valid().to_numpy(), False),
        norm=np.stack([norms[s.norm][i] for i, s in enumerate(rules.everything.values())]),
        quantities={q: spread(size[q], np.nan) for q in ("rfc", "hfe", "image_rfc")},
    )


def _places(table: pa.Table, attacks: list[str], ids: Any) -> tuple[Any, Any]:
    """Return each row's place in (A, n), flat, and which rows have one (None: all).

    Both are None if the rows are complete and in the protocol's order, as they usually are.
    """
    column = table["attack"].combine_chunks()
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    names = column.dictionary.to_pylist()
    code = np.array([attacks.index(n) if n in attacks else -1 for n in names] or [-1])
    attack = code[pc.fill_null(column.indices, 0).to_numpy(zero_copy_only=False)]
    sample = pc.fill_null(table["sample_id"], -1).to_numpy()
    if len(attack) == len(attacks) * len(ids):
        whole = (attack.reshape(-1, len(ids)) == np.arange(len(attacks))[:, None]).all()
        if whole and (sample.reshape(-1, len(ids)) == ids).all():
            return None, None
    place, there = sample_ids.places(ids, sample)
    known = (attack >= 0) & there
    where = attack * len(ids) + place
    return (where, None) if known.all() else (where[known], known)
