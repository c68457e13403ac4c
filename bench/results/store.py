"""One result: its finished file, its side files, and the blocks that are not merged yet.

    <model>.parquet                  rows, with the metadata                  (written last)
    <model>.extras.parquet           mean spectra and example images
    <model>.perturbations.parquet    only with --save-perturbations
    <model>.blocks/                  identity.json and one file a block, until they are merged

A block's rows are its completion marker: they are written after its side files. Every file is
written under a temporary name and renamed, so a reader never sees half of one.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.errors import BenchError
from bench.results import schema
from bench.results.files import atomic
from bench.results.tables import extras_table, merge_extras, perturbations_table, rows_table

if TYPE_CHECKING:
    from bench.evaluation import Block

EXAMPLES = 4
ROW_GROUP = 8192

IDENTITY = (
    "protocol_hash",
    "model",
    "dataset",
    "weights_sha256",
    "data_fingerprint",
    "seed",
    "partial",
)
"""Metadata keys that must agree for results to share a file."""


@dataclass(frozen=True)
class Store:
    """Where one model's result on one data set goes.

    Attributes:
        path: the finished file, `<model>.parquet`.
    """

    path: Path

    @property
    def blocks(self) -> Path:
        """Folder of the blocks that are not merged yet."""
        return self.path.with_name(self.path.stem + ".blocks")

    def side(self, kind: str) -> Path:
        """Path of a side file: `<model>.<kind>.parquet`."""
        return self.path.with_name(f"{self.path.stem}.{kind}.parquet")

    # ---------------------------------------------------------- before the run

    def open(self, identity: Mapping[str, Any], overwrite: bool) -> None:
        """Claim the place for a run: compare what is there with the run's identity.

        Args:
            identity: the run's value of each key of `IDENTITY`, and "started".
            overwrite: drop what is there instead.

        Raises:
            BenchError: what is there is not ours, or was made with something else.
        """
        if overwrite:
            self.clear()
        if self.path.exists():
            _compare(read_metadata(self.path), identity, self.path)
        marker = self.blocks / "identity.json"
        if marker.exists():
            _compare(_read_json(marker), identity, marker)
            return
        with atomic(marker) as temporary:
            temporary.write_text(json.dumps(dict(identity), indent=1))

    def clear(self) -> None:
        """Remove the finished file, its side files and all blocks, if they are ours."""
        if self.path.exists():
            read_metadata(self.path)
        for path in (self.path, self.side("extras"), self.side("perturbations")):
            path.unlink(missing_ok=True)
        shutil.rmtree(self.blocks, ignore_errors=True)

    def started(self) -> str | None:
        """Return when the work on the present blocks began (ISO time), if any."""
        marker = self.blocks / "identity.json"
        value = _read_json(marker).get("started") if marker.exists() else None
        return str(value) if value is not None else None

    def present(self, attack: str) -> set[int]:
        """Return the sample ids that this attack is finished for."""
        done = {int(i) for i in self._ids(self.path, attack)} if self.path.exists() else set()
        for piece in self._pieces(attack):
            done.update(self._ids(piece, attack))
        return done

    # ---------------------------------------------------------- while it runs

    def write_block(self, block: Block, constants: Mapping[str, str]) -> None:
        """Write one finished block: side files first, its rows last.

        Raises:
            BenchError: the disk refused; nothing of this block counts as done.
        """
        first, last = min(block.sample_ids), max(block.sample_ids)
        stem = self.blocks / block.attack / f"{first:08d}-{last:08d}-{len(block.sample_ids)}"
        if block.deltas is not None:
            _write(perturbations_table(block), stem.with_name(stem.name + ".perturbations.parquet"))
        _write(extras_table(block), stem.with_name(stem.name + ".extras.parquet"))
        _write(rows_table(block, constants), stem.with_name(stem.name + ".rows.parquet"))

    # ---------------------------------------------------------- at the end

    def finish(self, attacks: Sequence[str], metadata: Mapping[str, Any]) -> None:
        """Merge the blocks into the finished file and remove them.

        Args:
            attacks: attack names in the order that they are to stand in.
            metadata: what goes into the file's schema metadata under `bench`.

        Raises:
            BenchError: the disk refused; the blocks and the old file are still there.
        """
        self._finish_side("perturbations", attacks)
        self._finish_extras(attacks)
        raw = schema.ROWS.with_metadata({schema.METADATA_KEY: json.dumps(dict(metadata))})
        with (
            atomic(self.path) as temporary,
            pq.ParquetWriter(temporary, raw, compression="zstd") as writer,
        ):
            for table in _grouped(self._all_rows(attacks)):
                writer.write_table(table.cast(raw), row_group_size=ROW_GROUP)
        shutil.rmtree(self.blocks, ignore_errors=True)

    def _pieces(self, attack: str, kind: str = "rows") -> list[Path]:
        """Paths of an attack's finished blocks (or of their side files), by first id."""
        rows = sorted((self.blocks / attack).glob("*.rows.parquet"))
        if kind == "rows":
            return rows
        side = [p.with_name(p.name.replace(".rows.", f".{kind}.")) for p in rows]
        return [p for p in side if p.exists()]

    def _ids(self, path: Path, attack: str) -> list[int]:
        table = pq.read_table(
            path, columns=["sample_id"], filters=pc.field("attack") == pa.scalar(attack)
        )
        return [int(i) for i in table["sample_id"].to_pylist()]

    def _all_rows(self, attacks: Sequence[str]) -> Iterator[pa.Table]:
        for attack in attacks:
            seen: set[int] = set()
            old = [self.path] if self.path.exists() else []
            for piece in [*old, *self._pieces(attack)]:
                table = pq.read_table(piece, filters=pc.field("attack") == pa.scalar(attack))
                ids = table["sample_id"].to_pylist()
                fresh = [i not in seen for i in ids]
                seen.update(ids)
                if any(fresh):
                    yield table.filter(pa.array(fresh)).cast(schema.ROWS)

    def _finish_extras(self, attacks: Sequence[str]) -> None:
        target = self.side("extras")
        pieces = [(pq.read_table(target), True)] if target.exists() else []
        for attack in attacks:
            pieces += [(pq.read_table(p), False) for p in self._pieces(attack, "extras")]
        _write(merge_extras(pieces, EXAMPLES), target)

    def _finish_side(self, kind: str, attacks: Sequence[str]) -> None:
        target = self.side(kind)
        new = [p for attack in attacks for p in self._pieces(attack, kind)]
        if not new:
            return
        with (
            atomic(target) as temporary,
            pq.ParquetWriter(temporary, schema.PERTURBATIONS, compression="zstd") as writer,
        ):
            for piece in [*([target] if target.exists() else []), *new]:
                for batch in pq.ParquetFile(piece).iter_batches(batch_size=64):
                    writer.write_batch(batch.cast(schema.PERTURBATIONS))


# ---------------------------------------------------------------- reading


def read_metadata(path: Path) -> dict[str, Any]:
    """Return the metadata of a finished file.

    Raises:
        BenchError: the file is not one of ours.
    """
    try:
        raw = (pq.read_schema(path).metadata or {}).get(schema.METADATA_KEY)
        found = json.loads(raw) if raw is not None else None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BenchError(
            f"expected a result file of this project at {path}, found something unreadable "
            f"({str(error).splitlines()[0]}); move it away or choose another --output"
        ) from None
    if not isinstance(found, dict):
        raise BenchError(
            f"expected a result file of this project at {path}, found a Parquet file without its "
            "metadata; move it away or choose another --output"
        )
    return found


def read_rows(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the rows of a finished file (or some columns of them)."""
    return pq.read_table(path, columns=None if columns is None else list(columns))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise BenchError(
            f"expected this project's notes in {path}, found something else; remove it"
        )
    return found


def _compare(found: Mapping[str, Any], identity: Mapping[str, Any], path: Path) -> None:
    for key in IDENTITY:
        if found.get(key) != identity[key]:
            raise BenchError(
                f"{path} was made with {key} = {_short(found.get(key))}, this run has "
                f"{_short(identity[key])}; choose another --output, or --overwrite to replace it"
            )


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 16 else text[:12] + "..."


def _write(table: pa.Table, path: Path) -> None:
    with atomic(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def _grouped(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Join small tables into row groups of at least ROW_GROUP rows (the last may be smaller)."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(len(t) for t in waiting) >= ROW_GROUP:
            yield pa.concat_tables(waiting).unify_dictionaries().combine_chunks()
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting).unify_dictionaries().combine_chunks()
