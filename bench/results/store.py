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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.errors import BenchError
from bench.files import atomic
from bench.results import schema
from bench.results.block import EXAMPLES, Block
from bench.results.identity import MIXABLE, change
from bench.results.tables import extras_table, merge_extras, perturbations_table, rows_table
from bench.results.written import current_metadata, current_rows

NOTED = ("schema_version", "metrics", "attack_hashes")
"""Metadata keys that tell what the blocks' columns are."""

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

CODE = ("weights", "probe", "preprocessing", "versions")
"""Metadata keys that tell whether the model's code is the same, and what changed it."""


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

    def check(self, identity: Mapping[str, Any], overwrite: bool = False) -> None:
        """Compare what is there with a run's identity.

        Args:
            identity: the run's value of each key of `IDENTITY` and `CODE`.
            overwrite: what is there may be of another identity, if only it is ours.

        Raises:
            BenchError: what is there is not ours, or was made with something else.
        """
        found = read_metadata(self.path) if self.path.exists() else None
        if overwrite:
            return
        if found is not None:
            _compare(current_metadata(found), identity, self.path)
        marker = self.blocks / "identity.json"
        if marker.exists():
            _compare(_read_json(marker), identity, marker)

    def begin(self, identity: Mapping[str, Any]) -> None:
        """Claim the place for a run's blocks, if an earlier one of the same identity has not.

        Args:
            identity: the run's value of each key of `IDENTITY`, and what else is to be
                remembered until the run is finished ("started", "pace").
        """
        marker = self.blocks / "identity.json"
        if not marker.exists():
            with atomic(marker) as temporary:
                temporary.write_text(json.dumps(dict(identity), indent=1))

    def drop_blocks(self) -> None:
        """Remove the blocks of an unfinished run."""
        shutil.rmtree(self.blocks, ignore_errors=True)

    def noted(self, key: str) -> Any:
        """Return what the unfinished run noted under a key (as "started"), None if nothing."""
        marker = self.blocks / "identity.json"
        return _read_json(marker).get(key) if marker.exists() else None

    def present(self, attack: str, *, finished: bool = True, deltas: bool = False) -> set[int]:
        """Return the sample ids that this attack is done for.

        Args:
            attack: its name.
            finished: count the finished file too, not the blocks alone.
            deltas: count the finished file only if it has every perturbation of the attack.
        """
        done: set[int] = set()
        for piece in self._pieces(attack):
            if not deltas or _beside(piece, "perturbations").exists():
                done.update(self._ids(piece, attack))
        if finished and self.path.exists() and not (deltas and self._lacks_deltas(attack)):
            done.update(self._ids(self.path, attack))
        return done

    def _lacks_deltas(self, attack: str) -> bool:
        table = read_rows(self.path, ["attack", "sample_id", "seconds"], attack)
        attacked = set(table.filter(table["seconds"].is_valid())["sample_id"].to_pylist())
        side = self.side("perturbations")
        return not attacked <= set(self._ids(side, attack) if side.exists() else ())

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

        An attack whose blocks repeat samples of the finished file replaces it there; a finished
        file of another identity is replaced whole.

        Args:
            attacks: attack names in the order that they are to stand in.
            metadata: what goes into the file's schema metadata under `bench`.

        Raises:
            BenchError: the disk refused; the blocks and the old file are still there.
        """
        old = self._old_attacks(attacks, metadata)
        present = {attack: len(self._merged_ids(attack, old)) for attack in attacks}
        expected = metadata["expected"]
        complete = all(present[attack] >= expected[attack] for attack in expected)
        known = {**metadata, "present": present, "complete": complete}
        raw = schema.ROWS.with_metadata({schema.METADATA_KEY: json.dumps(known)})
        self._finish_perturbations(attacks, old)
        self._finish_extras(attacks, old)
        with (
            atomic(self.path) as temporary,
            pq.ParquetWriter(temporary, raw, compression="zstd") as writer,
        ):
            for attack in attacks:
                table = self._rows(attack, old)
                if table is not None:
                    writer.write_table(table.cast(raw))
        self.drop_blocks()

    def _old_attacks(self, attacks: Sequence[str], metadata: Mapping[str, Any]) -> set[str]:
        """Return the attacks whose rows in the finished file stay."""
        if not self.path.exists():
            return set()
        found = current_metadata(read_metadata(self.path))
        if any(found.get(key) != metadata[key] for key in IDENTITY):
            return set()
        other = change(found, metadata, MIXABLE)
        if other is not None and other.kind != "names":
            return set()
        return {
            attack
            for attack in attacks
            if not self.present(attack, finished=False) & set(self._ids(self.path, attack))
        }

    def _merged_ids(self, attack: str, old: set[str]) -> set[int]:
        return self.present(attack, finished=attack in old)

    def _pieces(self, attack: str, kind: str = "rows") -> list[Path]:
        """Paths of an attack's finished blocks (or of their side files), by first id."""
        rows = sorted((self.blocks / attack).glob("*.rows.parquet"))
        if kind == "rows":
            return rows
        return [side for p in rows if (side := _beside(p, kind)).exists()]

    def _ids(self, path: Path, attack: str) -> list[int]:
        return [int(i) for i in read_rows(path, ["sample_id"], attack)["sample_id"].to_pylist()]

    def _rows(self, attack: str, old: set[str]) -> pa.Table | None:
        """Return all rows of an attack by sample id."""
        pieces = [*self._pieces(attack), *([self.path] if attack in old else [])]
        tables = [self._present_form(p, attack) for p in pieces]
        if not any(len(t) for t in tables):
            return None
        together = pa.concat_tables(tables).unify_dictionaries()
        first: dict[int, int] = {}
        for place, sample_id in enumerate(together["sample_id"].to_pylist()):
            first.setdefault(sample_id, place)
        return together.take([first[i] for i in sorted(first)]).combine_chunks()

    def _present_form(self, piece: Path, attack: str) -> pa.Table:
        """Return an attack's rows in a block or the finished file, with the present columns."""
        marker = self.blocks / "identity.json"
        metadata = read_metadata(piece) if piece == self.path else _read_json(marker)
        return current_rows(read_rows(piece, None, attack), metadata)

    def _finish_extras(self, attacks: Sequence[str], old: set[str]) -> None:
        target = self.side("extras")
        pieces = []
        if target.exists():
            table = pq.read_table(target)
            kept = pa.array([a in old for a in table["attack"].to_pylist()], pa.bool_())
            pieces.append((table.filter(kept), True))
        for attack in attacks:
            pieces += [(pq.read_table(p), False) for p in self._pieces(attack, "extras")]
        _write(merge_extras(pieces, EXAMPLES), target)

    def _finish_perturbations(self, attacks: Sequence[str], old: set[str]) -> None:
        """Stream the blocks' perturbations and the finished file's into one file."""
        target = self.side("perturbations")
        new = [p for attack in attacks for p in self._pieces(attack, "perturbations")]
        if not new:
            return
        with (
            atomic(target) as temporary,
            pq.ParquetWriter(temporary, schema.PERTURBATIONS, compression="zstd") as writer,
        ):
            for piece in [*([target] if target.exists() else []), *new]:
                for batch in pq.ParquetFile(piece).iter_batches(batch_size=64):
                    table = pa.Table.from_batches([batch]).cast(schema.PERTURBATIONS)
                    if piece == target:
                        kept = [a in old for a in table["attack"].to_pylist()]
                        table = table.filter(pa.array(kept, pa.bool_()))
                    writer.write_table(table)


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


def read_rows(
    path: Path, columns: Sequence[str] | None = None, attack: str | None = None
) -> pa.Table:
    """Return rows of a finished file or a block.

    Args:
        path: the file.
        columns: which columns; None: all.
        attack: only rows of this attack; None: all.
    """
    chosen = None if attack is None else pc.field("attack") == pa.scalar(attack)
    return pq.read_table(path, columns=None if columns is None else list(columns), filters=chosen)


def _beside(rows: Path, kind: str) -> Path:
    """Return the side file of a block's rows."""
    return rows.with_name(rows.name.replace(".rows.", f".{kind}."))


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
    other = change(found, identity, MIXABLE)
    if other is not None and other.kind != "names":
        raise BenchError(
            f"{path} was made with another model: {other}; choose another --output, or --overwrite "
            "to replace it"
        )


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 16 else text[:12] + "..."


def _write(table: pa.Table, path: Path) -> None:
    with atomic(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
