"""Models shared by the tasks of a SLURM array: submitted, followed, submitted again where lost."""

from __future__ import annotations

import shutil
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from bench.errors import BenchError
from bench.files import ensure_writable
from bench.results.failures import TRIES
from bench.run.engines.choice import Engine
from bench.run.engines.hand_out import for_workers
from bench.run.engines.share import Share, Shared, sum_of
from bench.run.engines.slurm_jobs import Jobs, Outcome
from bench.run.plan import Plan
from bench.run.request import Request
from bench.run.several import Refused

POLL = 2.0
"""Seconds between two looks at the queue."""
SILENT = 30
"""Looks in a row that the queue may leave without an answer."""
FRESH = 3
"""Looks in a row that a job must be missing from the queue, without a result, to be gone."""


class Follower(Protocol):
    """Who is told how the array gets on."""

    def set(self, total: int, done: int, text: str) -> None:
        """So many samples, so many of them done, and a few words."""


def follow(
    jobs: Jobs,
    functions: Sequence[Callable[[], Any]],
    tick: Callable[[str], None],
    needed: Callable[[], bool] = lambda: True,
    keep: Callable[[int, Outcome], None] = lambda number, outcome: None,
    poll: float = POLL,
) -> list[Outcome]:
    """Submit functions as an array, and wait until each has returned or failed three times.

    Args:
        jobs: where.
        functions: one a task.
        tick: told in a few words how many wait and run.
        needed: whether what is lost is submitted again.
        keep: told what comes of each task.
        poll: seconds between two looks.

    Raises:
        BenchError: SLURM refuses the jobs, or does not answer for a while.
        KeyboardInterrupt: passed on; the jobs are cancelled.
    """
    outcomes: dict[int, Outcome] = {}
    tries, missed, silent = Counter[int](), Counter[int](), 0
    try:
        jobs.submit(functions, range(len(functions)))
        while len(outcomes) < len(functions):
            try:
                states, silent = jobs.states(), 0
            except BenchError:
                silent += 1
                if silent > SILENT:
                    raise
                time.sleep(poll)
                continue
            lost: list[int] = []
            for number in range(len(functions)):
                found = None if number in outcomes else _outcome(jobs, number, states, missed)
                if found is None:
                    continue
                tries[number] += 1
                if found.reason is not None and tries[number] < TRIES and needed():
                    lost.append(number)
                else:
                    outcomes[number] = found
                    keep(number, found)
            if lost:
                jobs.submit([functions[number] for number in lost], lost)
            tick(_words(states, len(outcomes)))
            if len(outcomes) < len(functions):
                time.sleep(poll)
    finally:
        jobs.cancel()
    return [outcomes[number] for number in range(len(functions))]


def _outcome(
    jobs: Jobs, number: int, states: dict[int, str], missed: Counter[int]
) -> Outcome | None:
    """Return what came of a task; None: it is in the queue, or was a moment ago."""
    found = jobs.outcome(number)
    if found is not None:
        return found
    missed[number] = 0 if number in states else missed[number] + 1
    if missed[number] < FRESH:
        return None
    missed[number] = 0
    return Outcome(reason=f"its job ended without a word; its log is {jobs.log(number)}")


def _words(states: dict[int, str], ended: int) -> str:
    running = sum(state in ("RUNNING", "COMPLETING") for state in states.values())
    return f"{running} running, {len(states) - running} waiting, {ended} ended"


def evaluate_in_array(
    requests: Sequence[Request],
    follower: Follower,
    done: Callable[[int, Plan], None],
    poll: float = POLL,
) -> list[Refused]:
    """Measure the models of several requests in the tasks of one SLURM array.

    Args:
        requests: at least one; partition, workers and the rest are the first one's.
        follower: who is told how far it is.
        done: told of each model whose file has every row.
        poll: seconds between two looks.

    Returns:
        The models that could not be measured to their end.

    Raises:
        BenchError: there is no SLURM, or it refuses.
        KeyboardInterrupt: passed on; jobs are cancelled, finished units are kept.
    """
    engine, threads = requests[0].how, cpus(requests[0].how)
    texts = tuple(for_workers(request.but(threads=threads)) for request in requests)
    folder = _folder(requests[0].where.output)
    shares = [
        Share(texts, index, engine.workers, str(folder / f"{index}.progress.json"))
        for index in range(engine.workers)
    ]
    plans: dict[int, Plan] = {}
    refused: dict[int, Refused] = {}
    lost: list[str] = []

    def keep(number: int, outcome: Outcome) -> None:
        if outcome.reason is not None:
            lost.append(f"task {number}: {outcome.reason}")
            return
        shared: Shared = outcome.value
        refused.update(shared.refused)
        for place in sorted(set(shared.done) - set(plans)):
            plans[place] = shared.done[place]
            done(place, plans[place])

    follow(
        Jobs(engine, folder, threads, "bench"),
        shares,
        lambda text: follower.set(*sum_of(folder), text),
        lambda: len(plans.keys() | refused.keys()) < len(requests),
        keep,
        poll,
    )
    for place, request in enumerate(requests):
        if place not in plans and place not in refused:
            text = f"expected a task that measures it to the end, found none ({'; '.join(lost)})"
            refused[place] = Refused(request.what.model, text)
    missing = [refused[place] for place in sorted(refused) if place not in plans]
    if not lost and not missing:
        shutil.rmtree(folder, ignore_errors=True)
    return missing


def cpus(engine: Engine) -> int:
    """Return the CPUs of a task, which are its threads."""
    text = engine.settings().get("cpus-per-task") or engine.settings().get("cpus_per_task")
    return engine.threads or (int(text) if text is not None and text.isdigit() else 1)


def _folder(output: str) -> Path:
    """Return a new folder for logs that every node sees, if it sees the results."""
    root = Path.cwd() if ":/" in output else Path(output).absolute()
    folder = root / ".slurm" / uuid.uuid4().hex[:12]
    ensure_writable(folder)
    return folder
