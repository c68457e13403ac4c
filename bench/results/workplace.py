"""One process at one result: it comes, measures units, merges, and leaves the place in order."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from bench.errors import BenchError
from bench.results.campaign import Campaign, Unit
from bench.results.claims import Claims
from bench.results.failures import TRIES, Failures, failed_units
from bench.results.match import attack_identity
from bench.results.merge import Merged, merge
from bench.results.notes import NAMES
from bench.results.presence import BEAT, STALE, Presence, Watch
from bench.results.room import saying_what_is_needed
from bench.results.store import Store
from bench.results.tidy import tidy
from bench.results.turns import Turns

NOBODY = "nobody"
"""The id of a process that only looks."""


@dataclass(frozen=True)
class Timing:
    """Seconds of what processes do while they wait for each other.

    Attributes:
        beat: between two beats of a process's heart.
        stale: of watching without a beat until a process counts as gone.
        poll: between two looks while others have all that is left; it grows up to `longest`.
        longest: the longest of them.
        clock: this process's own clock.
        sleep: how it waits.
    """

    beat: float = BEAT
    stale: float = STALE
    poll: float = 0.1
    longest: float = 2.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Task:
    """What a run is to measure at one result.

    Attributes:
        store: where it goes.
        metadata: of the run.
        asked: attack -> sample ids, in order.
        size: samples of a block.
        anew: measure again what the finished file has.
        deltas: with every perturbation.
    """

    store: Store
    metadata: Mapping[str, Any]
    asked: Mapping[str, Sequence[int]]
    size: int
    anew: bool = False
    deltas: bool = False

    @property
    def identities(self) -> dict[str, str]:
        """Attack -> identity, of all attacks of the run's protocol, in its order."""
        names = list(self.metadata["attacks"]) if self.store.form.by_attack else ["clean"]
        return {a: str(attack_identity(self.metadata, a)) for a in names}

    def campaign(self, me: str = NOBODY, watch: Watch | None = None) -> Campaign:
        """Return the campaign that it belongs to."""
        seen = watch or Watch(self.store.files, self.store.address.blocks)
        shape = tuple(self.metadata.get("input_shape", ()))
        return Campaign(
            self.store, self.identities, self.asked, self.anew, self.deltas, me, seen, shape
        )


class Workplace:
    """What one process does at a result. Use :func:`at_work`."""

    def __init__(self, task: Task, presence: Presence, timing: Timing) -> None:
        files, folder = task.store.files, task.store.address.blocks
        self.task, self.timing = task, timing
        self.presence = presence
        self.watch = Watch(files, folder, timing.stale, timing.clock)
        self.campaign = task.campaign(presence.id, self.watch)
        self.claims = Claims(files, presence.id, self.watch)
        self.turns = Turns(files, folder, presence.id, self.watch)
        self.failures = Failures(files, self.campaign.folder, self.claims)

    def begin(self, note: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out what an interrupted merge has left, and note what the run is.

        Args:
            note: what the run is, and its pace.

        Returns:
            What is noted: by this run, or by the one that began it.
        """
        self.turns.settle()
        return self.campaign.begin(note)

    def take_task(self, task: Task) -> None:
        """Measure in blocks of the size that the run which began here has."""
        self.task = replace(self.task, size=task.size)

    def units(
        self,
        begin_at: float = 0.0,
        seen: Callable[[Mapping[str, int]], None] = lambda missing: None,
        stay: bool = True,
    ) -> Iterator[Unit]:
        """Give unit after unit that nobody else measures, until all are done, here or elsewhere.

        A unit that was given counts as done when its block is written.

        Args:
            begin_at: share of the units, in [0, 1), that is skipped at first: where processes that
                start together begin.
            seen: told again and again how many samples of each attack are missing.
            stay: wait for the units that others measure; False: end when there is nothing to take.
        """
        wait = self.timing.poll
        while True:
            keys, units = self.open_units(seen)
            if not units:
                return
            unit = self.take(units, keys, begin_at)
            if unit is not None:
                yield unit
                self.release(unit)
                wait = self.timing.poll
            elif stay:
                self.timing.sleep(wait)
                wait = min(2 * wait, self.timing.longest)
            else:
                return

    def open_units(
        self, seen: Callable[[Mapping[str, int]], None] = lambda missing: None
    ) -> tuple[list[str], list[Unit]]:
        """Return all keys, and the units that are neither done nor given up, failed ones last.

        Args:
            seen: told how many samples of each attack are missing.
        """
        keys = self.campaign.look()
        missing = self.campaign.missing(self.task.size, keys)
        left = dict.fromkeys(self.task.asked, 0)
        for unit in missing:
            left[unit.attack] += len(unit.ids)
        seen(left)
        failures = [self.failures.count(unit, keys) for unit in missing]
        order = [
            unit
            for tries in range(TRIES)
            for unit, count in zip(missing, failures, strict=True)
            if count == tries
        ]
        return keys, order

    def take(
        self,
        units: Sequence[Unit],
        keys: Sequence[str],
        begin_at: float = 0.0,
        busy: Collection[str] = (),
    ) -> Unit | None:
        """Claim the first unit that can be had; None: others have all of them.

        Args:
            units: the open units, in order.
            keys: all keys, from the same look.
            begin_at: share of the units that is skipped at first.
            busy: names of units that this process has taken already.
        """
        first = int(begin_at * len(units))
        for unit in (*units[first:], *units[:first]):
            if unit.name in busy or not self.claims.take(self._claim(unit), keys):
                continue
            if self._still_open(unit):
                return unit
            self.release(unit)
        return None

    def release(self, unit: Unit) -> None:
        """Give up the claim of a unit: it is done, or failed."""
        self.claims.release(self._claim(unit))

    def _claim(self, unit: Unit) -> str:
        return f"{self.campaign.folder}/{unit.name}"

    def given_up(self) -> BenchError | None:
        """Return the error for units that were tried too often; None: there are none."""
        keys = self.campaign.look()
        missing = self.campaign.missing(self.task.size, keys)
        failed = [
            (unit, self.failures.reason(unit, keys))
            for unit in missing
            if self.failures.count(unit, keys) >= TRIES
        ]
        if not failed:
            return None
        rows = sum(len(unit.ids) for unit, _ in failed)
        return failed_units(str(self.task.metadata["model"]), failed, rows)

    def _still_open(self, unit: Unit) -> bool:
        """Return False if others finished a unit, or gave it up, between our look and our claim."""
        keys = self.campaign.look()
        done = self.campaign.blocks(unit.attack, keys).ids
        if np.isin(np.asarray(unit.ids), done).any():
            return False
        return self.failures.count(unit, keys) < TRIES

    def write(self, unit: Unit, tables: Mapping[str, pa.Table]) -> None:
        """Write the block of a unit."""
        with saying_what_is_needed(self.campaign, self.task.size):
            self.campaign.write(unit, tables)

    def finish(self, describe: Callable[[Merged], Mapping[str, Any]]) -> bool:
        """Merge, or wait for who merges, until no block of the asked samples is left.

        Args:
            describe: what the file's metadata are to say besides those of the run.

        Returns:
            False if units turned out to be missing: go on with `units`.
        """
        wait = self.timing.poll
        while True:
            keys = self.campaign.look()
            if self.campaign.merged(keys):
                return True
            if self.campaign.missing(self.task.size, keys):
                return False
            asked = list(self.task.asked)
            with saying_what_is_needed(self.campaign, self.task.size):
                merged = merge(self.campaign, self.turns, asked, self.task.metadata, describe)
            if not merged:
                self.timing.sleep(wait)
                wait = min(2 * wait, self.timing.longest)

    def verify(self) -> None:
        """Raise BenchError unless the finished file has a row for every asked sample."""
        for attack, wanted in self.task.asked.items():
            there = np.isin(np.asarray(wanted), self.task.store.ids(attack))
            if not there.all():
                raise BenchError(
                    f"expected {len(there)} rows of {attack} in {self.task.store.where}, found "
                    f"{int(there.sum())}: another run has replaced the file meanwhile; give the "
                    "same command again"
                )

    def leave(self) -> None:
        """Go, and remove what nobody needs any more if nobody else is at work."""
        self.claims.release()
        store = self.task.store
        keys = store.files.keys(store.address.blocks)
        self.presence.end()
        if not self.watch.others(self.presence.id):
            campaigns = [
                replace(self.task, anew=anew, deltas=deltas).campaign(watch=self.watch)
                for anew, deltas in NAMES
            ]
            # these keys were read before one looked who is there: whoever claims came first
            tidy(store, keys, campaigns)


@contextmanager
def at_work(task: Task, timing: Timing | None = None) -> Iterator[Workplace]:
    """Come to a result, and leave it in order, however the work ends."""
    timing = timing or Timing()
    store = task.store
    with Presence(store.files, store.address.blocks, timing.beat) as presence:
        place = Workplace(task, presence, timing)
        try:
            yield place
        finally:
            place.leave()
