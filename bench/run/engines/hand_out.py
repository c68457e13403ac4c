"""Hands the units of several models out to a pool's workers, and keeps what they bring.

This process opens no model: a worker plans the run, workers measure its units, and here they are
claimed, written and merged, as by any other process at the same results. So only this machine must
reach the folder of results, and others may work there at the same time. A worker stays with a model
while it has units, then plans the next model, then helps where units are left.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from bench.errors import BenchError
from bench.results.campaign import Unit
from bench.results.earlier import warn_of_changes
from bench.results.failures import TRIES
from bench.results.workplace import Timing
from bench.run.attempts import device_error, said
from bench.run.engines.desk import Desk
from bench.run.engines.pool import Answer, Pool
from bench.run.measurer import warn_again
from bench.run.plan import Plan
from bench.run.progress import Progress
from bench.run.request import Request
from bench.run.several import Refused

PAUSE = 0.2
"""Seconds of waiting for answers before one looks whether others have finished units."""


class Watcher(Protocol):
    """Who is told what becomes of the models."""

    def planned(self, place: int, plan: Plan) -> Progress:
        """A model was opened, and is going to be measured; returns who is told how far it is."""

    def done(self, place: int, plan: Plan) -> None:
        """A model's file has every row."""


@dataclass(frozen=True)
class Call:
    """What a worker is doing: "hello", "plan" or "pace" of a model, or "measure" of a unit."""

    method: str
    place: int = -1
    unit: Unit | None = None


class HandOut:
    """The work on several models in one pool.

    Args:
        requests: one for each model.
        pool: whose workers are `bench.run.measurer.Measurer`.
        watcher: who is told.
        start: share of all work that lies before this process's beginning, in [0, 1).
        timing: how long processes wait for each other.
    """

    def __init__(
        self,
        requests: Sequence[Request],
        pool: Pool,
        watcher: Watcher,
        start: float = 0.0,
        timing: Timing | None = None,
    ) -> None:
        self._requests, self._pool, self._watcher, self._timing = requests, pool, watcher, timing
        self._texts = [for_workers(request) for request in requests]
        first = int(start * len(requests))
        self._begin_at = start * len(requests) - first
        self._todo = deque([*range(first, len(requests)), *range(first)])
        self._calls: dict[int, Call] = {}
        self._model: dict[int, int] = {}
        self._plans: dict[int, Plan] = {}
        self._desks: dict[int, Desk] = {}
        self._deaths: Counter[int] = Counter()
        self._refused: dict[int, Refused] = {}

    def run(self) -> list[Refused]:
        """Measure everything; return the models that could not be measured to their end.

        Raises:
            BenchError: no worker starts.
        """
        try:
            for worker in range(self._pool.count):
                self._call(worker, Call("hello"))
            while self._todo or self._desks or self._planning():
                for worker in range(self._pool.count):
                    if worker not in self._calls:
                        self._employ(worker)
                if not self._calls:
                    time.sleep(PAUSE)
                for answer in self._pool.answers(PAUSE):
                    self._take(answer)
                for place in list(self._desks):
                    self._finish(place)
        finally:
            for desk in self._desks.values():
                desk.close()
        return [self._refused[place] for place in sorted(self._refused)]

    def _planning(self) -> bool:
        return any(call.method in ("plan", "pace") for call in self._calls.values())

    def _employ(self, worker: int) -> None:
        """Give an idle worker something to do, if there is anything."""
        own = self._model.get(worker)
        if own in self._desks and self._give(worker, own):
            return
        if self._todo:
            place = self._todo.popleft()
            self._call(worker, Call("plan", place), self._texts[place])
            return
        for place in list(self._desks):
            if self._give(worker, place):
                return

    def _give(self, worker: int, place: int) -> bool:
        desk = self._desks[place]
        unit = desk.next()
        if unit is not None:
            call = Call("measure", place, unit)
            self._call(worker, call, self._texts[place], desk.plan, unit)
        return unit is not None

    def _call(self, worker: int, call: Call, *arguments: Any) -> None:
        self._calls[worker] = call
        if call.place >= 0:
            self._model[worker] = call.place
        self._pool.call(worker, call.method, *arguments)

    def _take(self, answer: Answer) -> None:
        call = self._calls.pop(answer.worker)
        gone = answer.died or (answer.error is not None and device_error(answer.error))
        if gone:
            self._model.pop(answer.worker, None)
            self._pool.renew(answer.worker)
            self._call(answer.worker, Call("hello"))
        try:
            if answer.error is not None:
                self._fail(call, answer.error, gone)
            else:
                self._keep(answer.worker, call, answer.value)
        except BenchError as error:
            if call.place < 0:
                raise
            self._refuse(call.place, error)

    def _keep(self, worker: int, call: Call, value: Any) -> None:
        if call.method == "hello":
            self._deaths.pop(call.place, None)
            return
        if call.method == "measure":
            if call.place in self._desks:
                assert call.unit is not None, "a unit was measured"
                self._desks[call.place].bring(call.unit, warn_again(value))
            return
        plan: Plan = warn_again(value)
        if call.method == "plan":
            plan = self._plans[call.place] = _with_request(plan, self._requests[call.place])
            noted = plan.enter().get("pace")
            warn_of_changes(plan.metadata, plan.store, plan.request.where.submissions)
            text = self._texts[call.place]
            self._call(worker, Call("pace", call.place), text, plan, noted)
            return
        self._begin(call.place, _with_request(plan, self._requests[call.place]))

    def _begin(self, place: int, plan: Plan) -> None:
        """Begin to measure a planned model, unless its file has every row."""
        progress, task = self._watcher.planned(place, plan), plan.task
        keys = task.store.files.keys(task.store.address.blocks)
        if not keys and not task.anew and not task.campaign().missing(task.size):
            self._watcher.done(place, plan)
            return
        self._desks[place] = Desk(plan, progress, self._begin_at, self._timing)

    def _fail(self, call: Call, error: BaseException, gone: bool) -> None:
        if call.method == "measure":
            if call.place in self._desks:
                assert call.unit is not None, "a unit was measured"
                self._desks[call.place].fail(call.unit, error)
            return
        self._deaths[call.place] += 1
        if not gone or self._deaths[call.place] >= TRIES:
            raise _cannot_open(error)
        if call.method != "hello":
            self._todo.append(call.place)

    def _finish(self, place: int) -> None:
        try:
            if self._desks[place].done():
                desk = self._desks.pop(place)
                desk.close()
                self._watcher.done(place, desk.plan)
        except BenchError as error:
            self._refuse(place, error)

    def _refuse(self, place: int, error: BenchError) -> None:
        self._refused[place] = Refused(self._requests[place].what.model, str(error))
        desk = self._desks.pop(place, None)
        if desk is not None:
            desk.close()


def _cannot_open(error: BaseException) -> BenchError:
    if isinstance(error, BenchError):
        return error
    text = f"expected workers that open models, got {said(error)!r}; correct what is said"
    return BenchError(text)


def for_workers(request: Request) -> str:
    """Return the text of a request as a worker of any engine opens it."""
    own = dict.fromkeys(("address", "gpus_per_task", "partition", "shard"))
    plain = request.but(engine="local", workers=1, engine_options=(), **own)
    return plain.anywhere().model_dump_json()


def _with_request(plan: Plan, request: Request) -> Plan:
    """Return a worker's plan with the request as it was made here: paths are this process's."""
    return replace(plan, request=request)
