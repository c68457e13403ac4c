"""What is being measured for one result and not merged yet: units of work, their blocks and claims.

    <model>.blocks/workers/<id>.json                 who is at work (`bench.results.presence`)
    <model>.blocks/merge/<number>.json               who merges (`bench.results.turns`)
    <model>.blocks/<campaign>/note.json              what the run is, and its pace
    <model>.blocks/<campaign>/<unit>.rows.parquet    a finished block, written last
    <model>.blocks/<campaign>/<unit>.<side>.parquet  its side files
    <model>.blocks/<campaign>/<unit>.claim.<number>  who measures it (`bench.results.claims`)
    <model>.blocks/<campaign>/merged.<id>.json       units of a campaign that replaces rows, merged

A unit is one attack on some ids; its name holds its identity, so that blocks of other settings are
never taken for it. Claims only save work: a unit that two processes measure gives the same block.
A campaign that replaces finished rows has a folder of its own, and the finished file stays as it is
until all that the run was asked for is measured.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.results.notes import NAMES, NOTE, Notes
from bench.results.presence import Watch
from bench.results.store import BROKEN, NO_IDS, Ids, Store

DIGITS = 12
"""Hex digits of an identity in the name of a unit."""


@dataclass(frozen=True)
class Unit:
    """One attack on some samples: independent of all others, and the same whoever measures it.

    Attributes:
        attack: name of the attack.
        ids: the samples, in order.
        identity: of the attack's results (`bench.results.match.attack_identity`).
    """

    attack: str
    ids: tuple[int, ...]
    identity: str

    @property
    def name(self) -> str:
        """Where its block goes, below the campaign."""
        ids = hashlib.sha256(np.asarray(self.ids, dtype="<i8").tobytes()).hexdigest()
        first, last = min(self.ids), max(self.ids)
        head = f"{self.attack}/{self.identity[:DIGITS]}"
        return f"{head}-{first:08d}-{last:08d}-{ids[:8]}"


@dataclass(frozen=True)
class Blocks:
    """The finished blocks of one attack.

    Attributes:
        used: names of blocks that share no sample with each other and with what is merged.
        superseded: names of the others, which add nothing.
        ids: every sample that is done, in blocks or merged.
    """

    used: tuple[str, ...]
    superseded: tuple[str, ...]
    ids: Ids


@dataclass
class Campaign:
    """The units of one kind at one result.

    Attributes:
        store: the result.
        identities: attack -> identity of its results, for all attacks that the run knows.
        asked: attack -> ids that the run is to have.
        anew: measure again what the finished file has.
        deltas: with every perturbation.
        me: this process's id.
        watch: tells which processes are at work.
        shape: (C, H, W) of an image; () if it is not known.
    """

    store: Store
    identities: Mapping[str, str]
    asked: Mapping[str, Sequence[int]]
    anew: bool
    deltas: bool
    me: str
    watch: Watch
    shape: tuple[int, ...] = ()
    _ids: dict[str, Ids] = field(default_factory=dict)
    _merged: dict[str, dict[str, list[int]]] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """Its folder."""
        return f"{self.store.address.blocks}/{NAMES[self.anew, self.deltas]}"

    @property
    def replaces(self) -> bool:
        """Whether its rows may replace finished ones."""
        return self.anew or self.deltas

    @property
    def _notes(self) -> Notes:
        return Notes(self.store, self.me, self.watch)

    def begin(self, note: Mapping[str, Any]) -> dict[str, Any]:
        """Note what the run is, unless one of the same kind has begun; return what is noted.

        Raises:
            BenchError: an unfinished run of something else is here, and is at work or not to be
                replaced.
        """
        self._notes.admit(note, self.anew, drop=True)
        text = json.dumps(dict(note), indent=1).encode()
        self.store.files.claim(f"{self.folder}/{NOTE}", text)
        return self.noted() or dict(note)

    def noted(self) -> dict[str, Any] | None:
        """Return what the unfinished run noted of itself; None if there is none."""
        return self._notes.read(self.folder)

    def admit(self, mine: Mapping[str, Any]) -> None:
        """Raise BenchError if an unfinished run of something else is in the way."""
        self._notes.admit(mine, self.anew)

    def look(self) -> list[str]:
        """Return the keys of all its files; what follows from them is asked with this list."""
        return self.store.files.keys(self.folder)

    def blocks(self, attack: str, keys: Sequence[str]) -> Blocks:
        """Return an attack's finished blocks and ids.

        Args:
            attack: its name.
            keys: from `look`, called before: a block that is gone by now is in the finished file.
        """
        names = self._complete(attack, keys)
        base = self._base(attack, keys)
        known = {name: ids for name in names if (ids := self._block_ids(name)) is not None}
        used: list[str] = []
        superseded: list[str] = []
        done: set[int] = set(base.tolist())
        for name in sorted(known, key=lambda n: (-len(known[n]), n)):
            own = set(known[name].tolist())
            (superseded if own & done else used).append(name)
            done |= set() if own & done else own
        ids = np.concatenate([base, *(known[name] for name in used)])
        return Blocks(tuple(sorted(used, key=lambda n: int(known[n][0]))), tuple(superseded), ids)

    def _complete(self, attack: str, keys: Sequence[str]) -> list[str]:
        head = f"{self.folder}/{attack}/{self.identities[attack][:DIGITS]}-"
        tail = ".rows.parquet"
        cut = len(self.folder) + 1
        return [k[cut : -len(tail)] for k in keys if k.startswith(head) and k.endswith(tail)]

    def _base(self, attack: str, keys: Sequence[str]) -> Ids:
        """Return the ids that need no block."""
        if not self.anew and not self.deltas:
            return self.store.ids(attack)
        if not self.anew:
            saved = self.store.ids_with_deltas(attack)
            wanted = np.asarray(self.asked.get(attack, ()), dtype=np.int64)
            if len(saved) == len(self.store.ids(attack)) or np.isin(wanted, saved).all():
                return saved
        # whole attacks are measured again, for a batch's other samples touch the last bits
        parts = [self._merged_ids(key, attack) for key in keys if "/merged." in key]
        return np.concatenate([NO_IDS, *parts])

    def _merged_ids(self, key: str, attack: str) -> Ids:
        if key not in self._merged:
            with self.store.files.open(key) as stream:
                self._merged[key] = json.loads(stream.read())
        return np.asarray(self._merged[key].get(attack, []), dtype=np.int64)

    def block_ids(self, name: str) -> Ids:
        """Return the ids of a block that was found."""
        return self._ids[name]

    def _block_ids(self, name: str) -> Ids | None:
        """Return a block's ids, increasing; None if it is gone, or damaged and now set aside."""
        if name not in self._ids:
            key = self.key(name, "rows")
            try:
                with self.store.files.open(key) as stream:
                    column = pq.read_table(stream, columns=["sample_id"])["sample_id"]
            except FileNotFoundError:
                return None
            except BROKEN:
                self.store.set_aside(key)
                return None
            self._ids[name] = np.sort(column.to_numpy().astype(np.int64))
        return self._ids[name]

    def missing(self, size: int, keys: Sequence[str] | None = None) -> list[Unit]:
        """Return the units that are not done.

        They lie on a fixed grid over the ids of an attack, so that a resumed run makes the same
        batches as one that was not interrupted.

        Args:
            size: samples of a cell of the grid.
            keys: from `look`.
        """
        keys = self.look() if keys is None else keys
        units = []
        for attack, wanted in self.asked.items():
            ids = np.asarray(wanted, dtype=np.int64)
            open_ = ~np.isin(ids, self.blocks(attack, keys).ids)
            for start in np.unique(open_.nonzero()[0] // size) * size:
                cell = slice(int(start), int(start) + size)
                some = tuple(int(i) for i in ids[cell][open_[cell]])
                units.append(Unit(attack, some, self.identities[attack]))
        return units

    def merged(self, keys: Sequence[str]) -> bool:
        """Return whether no block of the asked ids waits for its merge."""
        return all(
            np.isin(np.asarray(ids, dtype=np.int64), self._base(attack, keys)).all()
            for attack, ids in self.asked.items()
        )

    def drop_damaged(self, name: str) -> None:
        """Set a block aside that can't be read, so that it counts as missing."""
        self.store.set_aside(self.key(name, "rows"))
        for kind in self.store.form.sides:
            self.store.files.delete(self.key(name, kind))

    def key(self, name: str, kind: str) -> str:
        """Return the key of a block's file of a kind: rows, or a side file's."""
        return f"{self.folder}/{name}.{kind}.parquet"

    def write(self, unit: Unit, tables: Mapping[str, pa.Table]) -> None:
        """Write a finished block: its side files first, its rows last.

        Args:
            unit: what was measured.
            tables: "rows", and a table for each side file.

        Raises:
            BenchError: the storage refused; nothing of this block counts as done.
        """
        for kind in (*(k for k in tables if k != "rows"), "rows"):
            with self.store.files.put(self.key(unit.name, kind)) as stream:
                pq.write_table(tables[kind], stream, compression="zstd")
        self._ids[unit.name] = np.sort(np.asarray(unit.ids, dtype=np.int64))
