"""One model's units in the hands of the process that hands them out."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

from bench.errors import BenchError
from bench.results.campaign import Unit
from bench.results.tables import Tables
from bench.results.takeover import take_over
from bench.results.workplace import Timing, at_work
from bench.run.attempts import Attempts
from bench.run.plan import Plan
from bench.run.progress import Progress, Shown


class Desk:
    """Claims units for workers, writes what they bring, merges it at the end.

    Args:
        plan: at its pace.
        progress: who is told how far it is.
        begin_at: share of the units after which it begins.
        timing: how long processes wait for each other.
    """

    def __init__(
        self, plan: Plan, progress: Progress, begin_at: float = 0.0, timing: Timing | None = None
    ) -> None:
        self._stack, self._begin_at = ExitStack(), begin_at
        self._timing = timing or Timing()
        self.place = self._stack.enter_context(at_work(plan.task, self._timing))
        try:
            self.noted: dict[str, Any] = self.place.begin(plan.note)
            pace = self.noted.get("pace")
            # who has begun the run has fixed its batch, threads and step
            self.plan = plan.at(pace) if isinstance(pace, dict) and pace else plan
            self.place.take_task(self.plan.task)
            take_over(self.place.campaign, self.plan.task)
        except BaseException:
            self.close()
            raise
        self._shown = Shown(progress, {a: len(ids) for a, ids in plan.asked.items()})
        self._attempts = Attempts(self.place)
        self._busy: set[str] = set()
        self._look_at, self._wait = 0.0, self._timing.poll

    def next(self) -> Unit | None:
        """Claim a unit for a worker; None: there is none at the moment."""
        if time.monotonic() < self._look_at:
            return None
        keys, units = self.place.open_units(self._shown.missing)
        self._shown.begin(None)
        unit = self.place.take(units, keys, self._begin_at, self._busy)
        if unit is None:
            self._look_at = time.monotonic() + self._wait
            self._wait = min(2 * self._wait, self._timing.longest)
        else:
            self._busy.add(unit.name)
        return unit

    def bring(self, unit: Unit, tables: Tables) -> None:
        """Write what a worker has measured.

        Raises:
            BenchError: the storage refused.
        """
        self._attempts.worked()
        self.place.write(unit, tables)
        self._back(unit)

    def fail(self, unit: Unit, error: BaseException) -> None:
        """Note that a unit failed.

        Raises:
            BenchError: all of them do.
        """
        try:
            self._attempts.failed(unit, error)
        finally:
            self._back(unit)

    def _back(self, unit: Unit) -> None:
        self.place.release(unit)
        self._busy.discard(unit.name)
        self._look_at, self._wait = 0.0, self._timing.poll

    def done(self) -> bool:
        """Merge if nothing is left to do; return whether the finished file has every row.

        Raises:
            BenchError: units failed too often, or the storage did.
        """
        if self._busy or self.place.open_units(self._shown.missing)[1]:
            return False
        self._shown.begin(None)
        if self.plan.finish(self.place, self.noted):
            self.place.verify()
            return True
        failed: BenchError | None = self.place.given_up()
        if failed is not None:
            raise failed
        return False

    def close(self) -> None:
        """Give up what is claimed, and leave the place in order."""
        self._stack.close()
