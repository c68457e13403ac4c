"""All interleavings of workers that share units: an explicit search through the code that runs.

A worker's round (look, claim, look again, write, release) is the code of `Workplace`; before each
of its calls to the storage it may be overtaken by any other worker, or die. A round is run again
from its beginning with the answers that it has got so far, up to its next call; so the state of a
worker is the list of those answers and what it remembers of earlier rounds, and states that were
seen need no second visit. States count as one where they can't differ in what follows:

- workers are alike but for their names, unless they begin at different places;
- of a round that asks nothing any more (a write or a deletion has one answer), what it will do
  counts, and not what it was told before;
- of a unit that is written, claims and memories count no more for who looks anew: `open_units`
  leaves it out. (`plain=True` does without these three; the tests hold one against the other.)

    python tests/interleavings.py WORKERS UNITS DEATHS [spread]

prints how many states there are. A wrong protocol is found, too: see `tests/test_interleavings.py`.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import permutations
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
        state: "works", "ended" or "dead".
        todo: the calls that are left of a round that asks nothing any more.
    """

    name: str
    answers: tuple[Any, ...] = ()
    owners: tuple[tuple[str, str | None], ...] = ()
    state: str = "works"
    todo: tuple[tuple[str, ...], ...] = ()

    def __hash__(self) -> int:
        known = self.__dict__.get("hash")
        if known is None:
            known = hash((self.name, self.answers, self.owners, self.state, self.todo))
            object.__setattr__(self, "hash", known)
        return int(known)


@dataclass(frozen=True)
class State:
    """All that there is.

    Attributes:
        files: the storage.
        workers: one for each name.
        measured: names of units, as often as they were written.
    """

    files: Files
    workers: tuple[Worker, ...]
    measured: tuple[str, ...] = ()


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

    def alive(self, owner: str) -> bool:
        return bool(self._ask("alive", owner))

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
        plain: visit every state, also where it can't differ from another in what follows.
    """

    def __init__(
        self,
        workers: int,
        units: int,
        deaths: int = 0,
        spread: bool = False,
        place: type[Workplace] = Workplace,
        plain: bool = False,
    ) -> None:
        self.deaths, self._place, self._spread = deaths, place, spread
        self._plain = plain
        self._rounds: dict[Worker, tuple[str, Any]] = {}
        self._afters: dict[Worker, Worker] = {}
        self._moved: dict[tuple[Files, tuple[str, ...]], int] = {}
        self._renamed: dict[tuple[Worker, tuple[str, ...]], tuple[str, int]] = {}
        self.names = [f"w{i}" for i in range(workers)]
        self._place_of = {name: place for place, name in enumerate(self.names)}
        self.task = work_cases.task(Path("/nowhere"), range(units), ["pgd-l2"])
        self.task = replace(self.task, size=1)
        identity = self.task.identities["pgd-l2"]
        made = [Unit("pgd-l2", (i,), identity) for i in range(units)]
        self.units = {unit.name: unit for unit in made}

    def round(self, worker: Worker) -> tuple[str, Any]:
        """Run a round as far as its answers go, or say what it came to before.

        Returns:
            ("call", call) at a call without an answer, else ("over", (ended, owners, unit)).
        """
        if worker not in self._rounds:
            self._rounds[worker] = self._run(worker)
        return self._rounds[worker]

    def _run(self, worker: Worker) -> tuple[str, Any]:
        storage = Storage(worker.answers)
        task = replace(self.task, store=SimpleNamespace(**{**vars(self.task.store)}))
        task.store.files = storage
        place = self._place.__new__(self._place)
        place.task, place.timing = task, work_cases.QUICK
        place.watch = SimpleNamespace(alive=storage.alive if self.deaths else lambda _: True)
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

    def answer(
        self, files: Files, worker: str, call: tuple[str, ...], dead: frozenset[str]
    ) -> tuple[Files, Any]:
        """Do a call on the storage: at once, and alone."""
        if call[0] == "alive":
            return files, call[1] not in dead
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
        dead = frozenset(w.name for w in state.workers if w.state == "dead")
        for place, worker in enumerate(state.workers):
            if worker.state != "works":
                continue
            others = list(state.workers)
            if len(dead) < self.deaths:
                others[place] = Worker(worker.name, state="dead")
                yield replace(state, workers=tuple(others))
            call = worker.todo[0] if worker.todo else self.round(worker)[1]
            files, answer = self.answer(state.files, worker.name, call, dead)
            measured = state.measured
            if call[0] == "put":
                name = call[1].removeprefix(f"{FOLDER}/").removesuffix(".rows.parquet")
                measured = tuple(sorted((*measured, name)))
            others[place] = self.after(worker, call, answer)
            yield State(files, tuple(others), measured)

    def after(self, worker: Worker, call: Any, answer: Any) -> Worker:
        """Return a worker that has got an answer."""
        if worker.todo:
            return replace(worker, todo=worker.todo[1:])
        if call[0] == "keys" and not self._plain:
            done = [key.removesuffix("rows.parquet") for key in answer if key.endswith(".parquet")]
            answer = tuple(
                k for k in answer if k.endswith(".parquet") or not k.startswith(tuple(done))
            )
        after = replace(worker, answers=(*worker.answers, answer))
        if after not in self._afters:
            self._afters[after] = self._settled(after)
        return self._afters[after]

    def _settled(self, worker: Worker) -> Worker:
        """Return a worker at the end of its round, if that is reached, or if nothing is asked."""
        todo: list[tuple[str, ...]] = []
        ahead = worker
        while True:
            kind, what = self.round(ahead)
            if kind == "over":
                ended, owners, _ = what
                state = "ended" if ended else "works"
                return Worker(worker.name, (), () if ended else owners, state, tuple(todo))
            if self._plain or what[0] not in ("put", "delete"):
                return worker
            todo.append(what)
            ahead = replace(ahead, answers=(*ahead.answers, None))

    def explore(self, check: Callable[[State], None], ends: bool = False) -> int:
        """Visit every state; return how many there are.

        Args:
            check: is called with each state in which nobody works any more.
            ends: check as well that from every state such a one can be reached: nobody waits for
                something that can't come.
        """
        start = State(frozenset(), tuple(Worker(name) for name in self.names))
        seen, todo = {self._key(start)}, [start]
        before: dict[int, set[int]] = {}
        final: list[int] = []
        while todo:
            state = todo.pop()
            here = self._key(state) if ends else 0
            if all(worker.state != "works" for worker in state.workers):
                check(state)
                final.append(here)
                continue
            for following in self.next(state):
                key = self._key(following)
                if ends:
                    before.setdefault(key, set()).add(here)
                if key not in seen:
                    seen.add(key)
                    todo.append(following)
        if ends:
            assert len(_reached(final, before)) == len(seen), "somebody waits for ever"
        return len(seen)

    def _key(self, state: State) -> int:
        if self._plain:
            return hash(state)
        state = self._forgetful(state)
        orders = [tuple(self.names)] if self._spread else permutations(self.names)
        return min(
            hash((self._files(state.files, order), self._workers(state, order), state.measured))
            for order in orders
        )

    def _forgetful(self, state: State) -> State:
        """Return a state in which nobody between rounds remembers claims of written units."""
        done = tuple(k.removesuffix("rows.parquet") for k, who in state.files if who == "rows")
        if not done or all(worker.answers or not worker.owners for worker in state.workers):
            return state
        workers = []
        for worker in state.workers:
            owners = tuple(o for o in worker.owners if not o[0].startswith(done))
            same = worker.answers or len(owners) == len(worker.owners)
            workers.append(worker if same else replace(worker, owners=owners))
        return replace(state, workers=tuple(workers))

    def _files(self, files: Files, order: tuple[str, ...]) -> int:
        """Return the storage where workers have other names."""
        known = (files, order)
        if known not in self._moved:
            new = dict(zip(self.names, order, strict=True))
            self._moved[known] = hash(frozenset((key, new.get(who, who)) for key, who in files))
        return self._moved[known]

    def _workers(self, state: State, order: tuple[str, ...]) -> tuple[int, ...]:
        """Return the workers under other names, in the order of these."""
        found = [("", 0)] * len(order)
        for worker in state.workers:
            key = (worker, order)
            if key not in self._renamed:
                self._renamed[key] = self._rename(worker, order)
            found[self._place_of[self._renamed[key][0]]] = self._renamed[key]
        return tuple(hashed for _, hashed in found)

    def _rename(self, worker: Worker, order: tuple[str, ...]) -> tuple[str, int]:
        new: dict[Any, Any] = dict(zip(self.names, order, strict=True))
        answers = tuple(new.get(answer, answer) for answer in worker.answers)
        owners = tuple(sorted((key, new.get(who)) for key, who in worker.owners))
        return new[worker.name], hash((answers, owners, worker.state, worker.todo))


def _reached(start: list[int], following: Mapping[int, set[int]]) -> set[int]:
    """Return what can be reached from somewhere."""
    found, todo = set(start), list(start)
    while todo:
        for key in following.get(todo.pop(), ()):
            if key not in found:
                found.add(key)
                todo.append(key)
    return found


def right(model: Model) -> Callable[[State], None]:
    """Return the check of final states: every unit is there; without deaths measured once."""

    def check(state: State) -> None:
        alive = [worker for worker in state.workers if worker.state == "ended"]
        done = {k for k, owner in state.files if owner == "rows"}
        if alive:
            assert len(done) == len(model.units), "a unit is lost"
        died = len(state.workers) - len(alive)
        assert len(state.measured) - len(set(state.measured)) <= died, "a unit is measured twice"

    return check


if __name__ == "__main__":
    import time

    workers, units, deaths = map(int, sys.argv[1:4])
    begin, model = time.process_time(), Model(workers, units, deaths, spread=len(sys.argv) > 4)
    print(model.explore(right(model)), "states", round(time.process_time() - begin, 1), "s")
