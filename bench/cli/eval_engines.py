"""What `bench eval` shows of runs: how far they are, and their tables."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence

from bench.cli.refused import announce
from bench.cli.summary import COLUMNS, clean_summary, summary
from bench.errors import BenchWarning
from bench.run.evaluate import clean_result, rows_of, take_part
from bench.run.finished import finished
from bench.run.plan import Plan
from bench.run.progress import Progress
from bench.run.request import Request
from bench.run.several import Refused, in_turns
from bench.run.shard import shard_of
from bench.screen import Bars, OneBar, Sum


def measure(asked: Request, names: Sequence[str]) -> list[Refused]:
    """Measure models and print their tables; return those that could not be measured.

    Args:
        asked: what was asked for, but for the model.
        names: of the models.
    """
    if asked.how.engine == "ray":
        return _ray(asked, names)
    if asked.how.engine == "slurm":
        return _slurm(asked, names)
    return _local(asked, names)


def _local(asked: Request, names: Sequence[str]) -> list[Refused]:
    """In this process and its workers, beside whoever else is at work."""
    shard = shard_of(asked.how.shard)
    begun: set[int] = set()

    def attempt(place: int, begin_at: float, stay: bool) -> bool:
        request = asked.but(model=names[place])
        announce(place, names)
        if begun and shard.count > 1 and finished(request):
            return True
        begun.add(place)
        with Bars() as bars:
            run, done = take_part(request, bars, warn_of_what_lacks, begin_at, stay)
        if done:
            sys.stdout.write(_table(run.plan))
        return done

    return in_turns(names, shard.start, attempt)


class Shown:
    """Tells of several models at once: one bar, and a table when one is done."""

    def __init__(self, bar: OneBar, names: Sequence[str], text: str) -> None:
        self._names, self._sum = names, Sum(bar, text)

    def planned(self, place: int, plan: Plan) -> Progress:
        """A model was opened."""
        announce(place, self._names)
        warn_of_what_lacks(plan)
        return self._sum

    def done(self, place: int, plan: Plan) -> None:
        """A model's file has every row."""
        sys.stdout.write(_table(plan))


def _ray(asked: Request, names: Sequence[str]) -> list[Refused]:
    """In Ray's actors."""
    from bench.run.engines.start import evaluate_in_pool

    requests = [asked.but(model=name) for name in names]
    with OneBar() as bar:
        watcher = Shown(bar, names, f"{asked.how.workers} workers")
        return evaluate_in_pool(requests, watcher)


def _slurm(asked: Request, names: Sequence[str]) -> list[Refused]:
    """In the tasks of a SLURM array."""
    from bench.run.engines.array import evaluate_in_array

    def done(place: int, plan: Plan) -> None:
        sys.stdout.write(_table(plan))

    with OneBar() as bar:
        return evaluate_in_array([asked.but(model=name) for name in names], bar, done)


def _table(run: Plan) -> str:
    if run.request.clean:
        return clean_summary(clean_result(run))
    return summary(run, rows_of(run, COLUMNS))


def warn_of_what_lacks(run: Plan) -> None:
    """Say before a whole measurement what will keep it from being submitted."""
    from bench.entries import registry
    from bench.submissions.check.entries import lacks

    if run.partial_reasons or run.request.clean:
        return
    entry = run.entry
    reasons = [f"{text}; {remedy}" for text, remedy in lacks(entry)]
    # the kernel-size series follows from the registry's nets and needs no entry of its own
    if entry.name not in registry.model_names() and entry.source != "net":
        reasons.insert(0, "expected its entry in registry/models, found none; add it there")
    if reasons:
        text = f"{entry.name} can't be submitted as it is: {reasons[0]}"
        more = f" (and {len(reasons) - 1} more, see `bench check`)" if len(reasons) > 1 else ""
        warnings.warn(text + more, BenchWarning, stacklevel=2)
