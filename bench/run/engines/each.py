"""A function over units in any engine: what training, studies and other long verbs are run with.

    outcomes = each(engine, train_one, units, folder)

Function and units travel: the function is one at the top level of a module, a unit is a frozen
dataclass, a pydantic model or plain data. A unit whose worker dies, or whose function raises, is
tried again after the others, three times in all; then its outcome says why, and the others go on.
A function that keeps what it finishes (as `bench train` does after every epoch) loses little.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from bench.errors import BenchError
from bench.results.failures import TRIES
from bench.run.attempts import said
from bench.run.engines.array import POLL, follow
from bench.run.engines.choice import Engine
from bench.run.engines.pool import Answer, Kind, Pool
from bench.run.engines.slurm_jobs import Jobs, Outcome
from bench.run.engines.start import pool_of, threads_of

U = TypeVar("U")


class Caller:
    """A worker that calls functions, with so many threads of torch."""

    def __init__(self, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)

    def hello(self) -> None:
        """Be there."""

    def call(self, function: Callable[[Any], Any], unit: Any) -> Any:
        """Return what a function gives for a unit."""
        return function(unit)


def each(
    engine: Engine,
    function: Callable[[U], Any],
    units: Sequence[U],
    folder: Path,
    done: Callable[[int, Outcome], None] = lambda place, outcome: None,
    poll: float = POLL,
) -> list[Outcome]:
    """Call a function for each unit, in an engine's workers.

    Args:
        engine: which, with how many workers.
        function: unit -> what travels back.
        units: in the order that they are begun in.
        folder: for SLURM's logs, on a disk that every node sees.
        done: told of each unit as it ends, in whatever order.
        poll: seconds between two looks at SLURM's queue.

    Returns:
        What came of each unit, in their order. An error that the user can fix (`BenchError`) is
        not tried again.

    Raises:
        BenchError: the engine is not there.
        KeyboardInterrupt: passed on; the workers are ended.
    """
    if not units:
        return []
    engine = engine.model_copy(update={"workers": min(engine.workers, len(units))})
    if engine.engine == "slurm":
        jobs = Jobs(engine, folder, engine.threads or 1, "bench")
        calls = [partial(_fixable, function, unit) for unit in units]
        found = follow(
            jobs,
            calls,
            lambda text: None,
            keep=lambda place, outcome: done(place, _unpacked(outcome)),
            poll=poll,
        )
        return [_unpacked(outcome) for outcome in found]
    threads = threads_of(engine)
    pool = pool_of(engine, Kind(Caller, (threads,)))
    try:
        return _InPool(pool, function, units, done).run()
    finally:
        pool.close()


def _fixable(function: Callable[[U], Any], unit: U) -> Outcome:
    """Return a function's value, or what the user can fix: another try would not."""
    try:
        return Outcome(function(unit))
    except BenchError as error:
        return Outcome(reason=str(error))


def _unpacked(outcome: Outcome) -> Outcome:
    inside = outcome.value
    return inside if isinstance(inside, Outcome) else outcome


class _InPool:
    """The calls of one function in a pool's workers."""

    def __init__(
        self,
        pool: Pool,
        function: Callable[[Any], Any],
        units: Sequence[Any],
        done: Callable[[int, Outcome], None],
    ) -> None:
        self._pool, self._function, self._units, self._done = pool, function, units, done
        self._todo = deque(range(len(units)))
        self._doing: dict[int, int | None] = {}
        self._tries: Counter[int | None] = Counter()
        self._outcomes: dict[int, Outcome] = {}

    def run(self) -> list[Outcome]:
        for worker in range(self._pool.count):
            self._hello(worker)
        while len(self._outcomes) < len(self._units):
            for answer in self._pool.answers(1.0):
                self._take(answer)
                if answer.worker not in self._doing and self._todo:
                    place = self._todo.popleft()
                    self._doing[answer.worker] = place
                    call = (self._function, self._units[place])
                    self._pool.call(answer.worker, "call", *call)
        return [self._outcomes[place] for place in range(len(self._units))]

    def _hello(self, worker: int) -> None:
        self._doing[worker] = None
        self._pool.call(worker, "hello")

    def _take(self, answer: Answer) -> None:
        place = self._doing.pop(answer.worker)
        if answer.died:
            self._pool.renew(answer.worker)
            self._hello(answer.worker)
        if answer.error is None:
            if place is not None:
                self._end(place, Outcome(answer.value))
            return
        self._tries[place] += 1
        reason = said(answer.error)
        if place is None:
            if self._tries[place] >= TRIES:
                raise BenchError(f"expected workers that start, got {reason!r}")
        elif isinstance(answer.error, BenchError) or self._tries[place] >= TRIES:
            self._end(place, Outcome(reason=reason))
        else:
            self._todo.append(place)

    def _end(self, place: int, outcome: Outcome) -> None:
        self._outcomes[place] = outcome
        self._done(place, outcome)
