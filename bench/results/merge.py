"""Merging finished blocks into the finished file, and its side files with it.

Rows are replaced sample by sample, never by fewer. New files are staged whole, then committed and
put in their places (`bench.results.turns`), so that an interruption at any moment loses nothing.
Pieces are read in the order of sample ids, so many at a time: memory does not grow with a run.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.results import schema
from bench.results.campaign import Blocks, Campaign
from bench.results.match import MODEL, attack_identity, difference, other_attacks
from bench.results.merge_sides import Damaged, merge_extras_of, merge_perturbations_of
from bench.results.store import BROKEN, NO_IDS, Ids, Store
from bench.results.turns import Turns
from bench.results.written import current_rows

CHUNK = 4096
"""Rows that are in memory at once while files are merged."""
CONSTANTS = ("protocol", "protocol_hash", "model", "dataset")


@dataclass(frozen=True)
class Piece:
    """Rows of one attack in one file: a block, or the finished file.

    Attributes:
        key: the file.
        ids: which of its samples count, increasing.
        block: the block's name; None for the finished file.
    """

    key: str
    ids: Ids
    block: str | None


@dataclass(frozen=True)
class Merged:
    """What a merged file is going to hold."""

    store: Store
    pieces: Mapping[str, Sequence[Piece]]
    """Attack -> where its rows come from; in the order of the file."""
    finished: Mapping[str, Any]
    """Metadata of the finished file: what its columns are."""
    noted: Mapping[str, Any]
    """What the unfinished run noted: what the blocks' columns are."""

    @property
    def present(self) -> dict[str, int]:
        """Attack -> number of rows."""
        return {a: sum(len(p.ids) for p in pieces) for a, pieces in self.pieces.items()}

    def column(self, attack: str, name: str) -> npt.NDArray[Any]:
        """Return a column of one attack, by sample id."""
        parts = [t[name].to_numpy() for t in self.chunks(attack, ["sample_id", name])]
        return np.concatenate(parts)

    def chunks(self, attack: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Give an attack's rows by sample id, `CHUNK` at a time."""
        pieces = self.pieces[attack]
        ids = np.sort(np.concatenate([NO_IDS, *(p.ids for p in pieces)]))
        for start in range(0, len(ids), CHUNK):
            low, high = int(ids[start]), int(ids[min(start + CHUNK, len(ids)) - 1])
            tables = [self._rows(attack, p, low, high, columns) for p in pieces]
            yield pa.concat_tables([t for t in tables if t is not None]).sort_by("sample_id")

    def _rows(
        self, attack: str, piece: Piece, low: int, high: int, columns: Sequence[str] | None
    ) -> pa.Table | None:
        """Return the rows of a piece with ids from low to high."""
        wanted = piece.ids[(piece.ids >= low) & (piece.ids <= high)]
        if not len(wanted):
            return None
        chosen = (pc.field("sample_id") >= low) & (pc.field("sample_id") <= high)
        if piece.block is None and self.store.form.by_attack:
            chosen &= pc.field("attack") == attack
        try:
            with self.store.files.open(piece.key) as stream:
                names = None if columns is None else list(columns)
                table = pq.read_table(stream, columns=names, filters=chosen)
        except BROKEN as error:
            if piece.block is None:
                raise
            raise Damaged(piece.block) from error
        table = table.filter(pc.is_in(table["sample_id"], pa.array(wanted)))
        if columns is not None:
            return table
        if not self.store.form.grows:
            return conform(table, self.store.form.schema)
        return current_rows(table, self.finished if piece.block is None else self.noted)


def conform(table: pa.Table, wanted: pa.Schema) -> pa.Table:
    """Return a table of an earlier version in the present schema: what it lacks is null."""
    there = table.column_names
    columns = [
        table[f.name].cast(f.type) if f.name in there else pa.nulls(len(table), f.type)
        for f in wanted
    ]
    return pa.Table.from_arrays(columns, schema=wanted)


def merge(
    campaign: Campaign,
    turns: Turns,
    asked: Sequence[str],
    metadata: Mapping[str, Any],
    describe: Callable[[Merged], Mapping[str, Any]],
) -> bool:
    """Merge what is finished, if it is this process's turn.

    Args:
        campaign: whose blocks.
        turns: whose turn it is.
        asked: attacks of this run; a campaign that replaces rows merges only these.
        metadata: of this run, with the attacks in the order that they are to stand in.
        describe: what else the file's metadata say.

    Returns:
        False if another process has the turn.
    """
    number = turns.take()
    if number is None:
        return False
    try:
        what = _stage(campaign, turns.folder, asked, metadata, describe)
    except Damaged as damaged:
        campaign.drop_damaged(str(damaged))
        turns.give_up(number)
        return True
    except BaseException:
        turns.give_up(number)
        raise
    if what is None:
        turns.give_up(number)
        return True
    return turns.commit(number, what)


def _stage(
    campaign: Campaign,
    folder: str,
    asked: Sequence[str],
    metadata: Mapping[str, Any],
    describe: Callable[[Merged], Mapping[str, Any]],
) -> dict[str, Any] | None:
    """Write the new files beside the old ones; return what a commit is to do, None: nothing."""
    store = campaign.store
    base = store.files.version(store.address.file)
    names = asked if campaign.replaces else list(campaign.identities)
    keys = campaign.look()
    found = {a: campaign.blocks(a, keys) for a in campaign.identities if a in names}
    if not any(b.used or b.superseded for b in found.values()):
        return None
    kept = _kept(store, metadata)
    merged, replaced = _pieces(campaign, found, kept)
    stage = f"{folder}/{uuid.uuid4().hex}"
    _keep_replaced_file(store, metadata)
    moves = [[f"{stage}/rows", store.address.file]]
    _write(store, moves[0][0], merged, {**metadata, **describe(merged)}, metadata)
    used = {a: [(n, campaign.block_ids(n)) for n in b.used] for a, b in found.items()}
    makers = {"extras": merge_extras_of, "perturbations": merge_perturbations_of}
    for kind in store.form.sides:
        target, source = f"{stage}/{kind}", store.side(kind)
        if makers[kind](campaign, target, used, merged.present, kept, replaced):
            moves.append([target, source])
    writes = {}
    if campaign.replaces:
        done = {a: [int(i) for _, ids in blocks for i in ids] for a, blocks in used.items()}
        writes[f"{campaign.folder}/merged.{uuid.uuid4().hex}.json"] = done
    names = [n for b in found.values() for n in (*b.used, *b.superseded)]
    deletes = [campaign.key(n, kind) for n in names for kind in ("rows", *store.form.sides)]
    return {"base": base, "moves": moves, "writes": writes, "deletes": deletes}


def _kept(store: Store, metadata: Mapping[str, Any]) -> dict[str, Ids]:
    """Return attack -> ids of the finished rows that a run may keep."""
    old = store.metadata()
    if old is None or difference(old, metadata) is not None:
        return {}
    names = metadata.get("attacks", {}) if store.form.by_attack else ["clean"]
    return {
        a: store.ids(a) for a in names if attack_identity(old, a) == attack_identity(metadata, a)
    }


def _pieces(
    campaign: Campaign, found: Mapping[str, Blocks], kept: Mapping[str, Ids]
) -> tuple[Merged, dict[str, Ids]]:
    """Return where the rows of each attack come from, and the finished ids that are replaced."""
    pieces: dict[str, list[Piece]] = {}
    replaced = {}
    for attack in campaign.identities:
        used = found[attack].used if attack in found else ()
        blocks = [Piece(campaign.key(n, "rows"), campaign.block_ids(n), n) for n in used]
        new = np.concatenate([NO_IDS, *(p.ids for p in blocks)])
        old = kept.get(attack, NO_IDS)
        replaced[attack] = old[np.isin(old, new)]
        rest = old[~np.isin(old, new)]
        first = [Piece(campaign.store.address.file, rest, None)] if len(rest) else []
        pieces[attack] = [*first, *blocks]
    store = campaign.store
    return Merged(store, pieces, store.metadata() or {}, campaign.noted() or {}), replaced


def _keep_replaced_file(store: Store, metadata: Mapping[str, Any]) -> None:
    """Keep a copy of a file of another model or other settings that is about to be replaced."""
    old = store.metadata()
    if old is None or not (other_attacks(old, metadata) or difference(old, metadata)):
        return
    what = json.dumps([old.get(key) for key in MODEL], default=str)
    digest = hashlib.sha256(what.encode()).hexdigest()[:8]
    store.files.copy(store.address.file, f"{store.address.file}.replaced-{digest}")


def _write(
    store: Store, key: str, merged: Merged, known: Mapping[str, Any], mine: Mapping[str, Any]
) -> None:
    """Write the rows, attack by attack, by sample id."""
    raw = store.form.schema.with_metadata({schema.METADATA_KEY: json.dumps(dict(known))})
    with store.files.put(key) as stream, pq.ParquetWriter(stream, raw, compression="zstd") as out:
        for attack in merged.pieces:
            for table in merged.chunks(attack):
                out.write_table(_constant(table, attack, mine).combine_chunks().cast(raw))


def _constant(table: pa.Table, attack: str, mine: Mapping[str, Any]) -> pa.Table:
    """Fill the columns that are the same in every row: what was taken over has another's."""
    values = {name: mine.get(name) for name in CONSTANTS}
    values["attack"] = attack
    hashes = mine.get("attack_hashes")
    values["attack_hash"] = hashes.get(attack) if isinstance(hashes, Mapping) else None
    for place, field in enumerate(table.schema):
        if values.get(field.name) is not None:
            indices = pa.array(np.zeros(len(table), dtype=np.int32))
            column = pa.DictionaryArray.from_arrays(indices, pa.array([str(values[field.name])]))
            table = table.set_column(place, field, column.cast(field.type))
    return table
