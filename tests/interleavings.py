"""All interleavings of workers that share units: an explicit search through the code that runs.

A worker's round (look, claim, look again, write, release) is the code of `Workplace`; before each
of its calls to the storage it may be overtaken by any other worker, or die. A round is run again
from its beginning with the answers that it has got so far, up to its next call; so the state of a
worker is the list of those answers and what it remembers of earlier rounds, and states that were
seen need no second visit.

    python tests/interleavings.py WORKERS UNITS DEATHS

prints how many states there are. A wrong protocol is found, too: see `tests/test_interleavings.py`.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import work_cases

from bench.results.campaign import Campaign, Unit
from bench.results.claims import Claims
from bench.results.failures import Failures
from bench.results.workplace import Workplace

FOLDER = f"{work_cases.ADDRESS.blocks}/rows"
Files = frozenset[tuple[str, str]]
"""The storage: (key, who wrote it)."""


class Pause(Exception):
    """The round has come to a call that has no answer yet."""

    def __init__(self, call: tuple[str, ...]) -> None:
        super().__init__(call)
        self.call = call


@dataclass(frozen=True)
class Worker:
    """A worker between two calls.

    Attributes:
        name: its id.
        answers: to the calls of this round.
        owners: what it remembers of whose claims are whose.
        measured: names of units that it has written.
        state: "works", "ended" or "dead".
    """

    name: str
    answers: tuple[Any, ...] = ()
    owners: tuple[tuple[str, str | None], ...] = ()
    measured: tuple[str, ...] = ()
    state: str = "works"


@dataclass(frozen=True)
class State:
    """All that there is."""

    files: Files
    workers: tuple[Worker, ...]


class Storage:
    """Answers calls from a list; then pauses."""

    def __init__(self, answers: tuple[Any, ...]) -> None:
        self._answers = list(answers)

    def _ask(self, *call: str) -> Any:
        if not self._answers:
            raise Pause(call)
        return self._answers.pop(0)

    def keys(self, folder: str) -> list[str]:
        return list(self._ask("keys"))

    def claim(self, key: str, data: bytes) -> bool:
        return bool(self._ask("claim", key))

    def open(self, key: str) -> io.BytesIO:
        owner = self._ask("open", key)
        if owner is None:
            raise FileNotFoundError(key)
        return io.BytesIO(f'{{"owner": "{owner}"}}'.encode())

    def delete(self, key: str) -> None:
        self._ask("delete", key)

    @contextmanager
    def put(self, key: str) -> Iterator[io.BytesIO]:
        self._ask("put", key)
        yield io.BytesIO()


class Light(Campaign):
    """A campaign whose blocks say their ids by their names."""

    known: dict[str, Unit]

    def _block_ids(self, name: str) -> Any:
        return np.asarray(sorted(self.known[name].ids))

    def _base(self, attack: str, keys: Any) -> Any:
        return np.zeros(0, dtype=np.int64)

    def write(self, unit: Unit, tables: Any) -> None:
        with self.store.files.put(self.key(unit.name, "rows")):
            pass


class Model:
    """The protocol, for some workers and units.

    Args:
        workers: how many.
        units: how many, of one attack.
        deaths: how many workers may die.
        spread: whether they begin at different places.
        place: what a worker's place is made with; for protocols that are wrong.
    """

    def __init__(
        self,
        workers: int,
        units: int,
        deaths: int = 0,
        spread: bool = False,
        place: type[Workplace] = Workplace,
    ) -> None:
        self.deaths, self._place, self._spread = deaths, place, spread
        self.names = [f"w{i}" for i in range(workers)]
        self.task = work_cases.task(Path("/nowhere"), range(units), ["pgd-l2"])
        self.task = replace(self.task, size=1)
        identity = self.task.identities["pgd-l2"]
        made = [Unit("pgd-l2", (i,), identity) for i in range(units)]
        self.units = {unit.name: unit for unit in made}

    def round(self, worker: Worker, dead: set[str]) -> tuple[str | None, Any]:
        """Run a round as far as its answers go.

        Returns:
            ("call", call) at a call without an answer, else ("over", (ended, owners, unit)).
        """
        storage = Storage(worker.answers)
        task = replace(self.task, store=SimpleNamespace(**{**vars(self.task.store)}))
        task.store.files = storage
        place = self._place.__new__(self._place)
        place.task, place.timing = task, work_cases.QUICK
        place.watch = SimpleNamespace(alive=lambda owner: owner not in dead)
        campaign = Light(task.store, task.identities, task.asked, False, False, worker.name, None)
        campaign.known = self.units
        place.campaign = campaign
        place.claims = Claims(storage, worker.name, place.watch)
        place.claims._owners = dict(worker.owners)
        place.failures = Failures.__new__(Failures)
        place.failures._files, place.failures._folder = storage, campaign.folder
        place.failures._claims, place.failures._before = place.claims, frozenset()
        unit = None
        try:
            keys, units = place.open_units()
            if units:
                first = self.names.index(worker.name) / len(self.names) if self._spread else 0.0
                unit = place.take(units, keys, first)
                if unit is not None:
                    place.write(unit, {})
                    place.release(unit)
        except Pause as pause:
            return "call", pause.call
        owners = tuple(sorted(place.claims._owners.items()))
        return "over", (not units, owners, None if unit is None else unit.name)

    def answer(self, files: Files, worker: str, call: tuple[str, ...]) -> tuple[Files, Any]:
        """Do a call on the storage: at once, and alone."""
        there = dict(files)
        if call[0] == "keys":
            return files, tuple(sorted(there))
        key = call[1]
        if call[0] == "open":
            return files, there.get(key)
        if call[0] == "claim":
            if key in there:
                return files, False
            there[key] = worker
            return frozenset(there.items()), True
        if call[0] == "put":
            there[key] = "rows"
        else:
            there.pop(key, None)
        return frozenset(there.items()), None

    def next(self, state: State) -> Iterator[State]:
        """Give every state that may follow."""
        dead = {w.name for w in state.workers if w.state == "dead"}
        for place, worker in enumerate(state.workers):
            if worker.state != "works":
                continue
            others = list(state.workers)
            if len(dead) < self.deaths:
                others[place] = replace(worker, state="dead", answers=(), owners=())
                yield State(state.files, tuple(others))
            kind, what = self.round(worker, dead)
            assert kind == "call", "a round begins with a look"
            files, answer = self.answer(state.files, worker.name, what)
            after = replace(worker, answers=(*worker.answers, answer))
            if what[0] == "put":
                name = what[1].removeprefix(f"{FOLDER}/").removesuffix(".rows.parquet")
                after = replace(after, measured=tuple(sorted((*after.measured, name))))
            kind, what = self.round(after, dead)
            if kind == "over":
                ended, owners, _ = what
                state_now = "ended" if ended else "works"
                after = replace(after, answers=(), owners=owners, state=state_now)
            others[place] = after
            yield State(files, tuple(others))

    def explore(self, check: Callable[[State], None], most: int = 10**8) -> int:
        """Visit every state; return how many there are.

        Args:
            check: is called with each state in which nobody works any more.
            most: more than so many are an error.
        """
        start = State(frozenset(), tuple(Worker(name) for name in self.names))
        seen, todo = {self._key(start)}, [start]
        while todo:
            state = todo.pop()
            if all(worker.state != "works" for worker in state.workers):
                check(state)
                continue
            for following in self.next(state):
                key = self._key(following)
                if key not in seen:
                    seen.add(key)
                    assert len(seen) <= most, "more states than expected"
                    todo.append(following)
        return len(seen)

    def _key(self, state: State) -> int:
        return hash(state)


def right(model: Model) -> Callable[[State], None]:
    """Return the check of final states: every unit is there; without deaths measured once."""

    def check(state: State) -> None:
        alive = [worker for worker in state.workers if worker.state == "ended"]
        done = {k for k, owner in state.files if owner == "rows"}
        measured = [name for worker in state.workers for name in worker.measured]
        if alive:
            assert len(done) == len(model.units), "a unit is lost"
        died = len(state.workers) - len(alive)
        assert len(measured) - len(set(measured)) <= died, "a unit is measured twice"

    return check


if __name__ == "__main__":
    import time

    workers, units, deaths = map(int, sys.argv[1:4])
    begin, model = time.process_time(), Model(workers, units, deaths, spread=len(sys.argv) > 4)
    print(model.explore(right(model)), "states", round(time.process_time() - begin, 1), "s")
