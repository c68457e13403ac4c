"""The engine for one machine: takes units until none is left, in one process or several."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from bench.measure.block import run_block
from bench.results.campaign import Unit
from bench.results.tables import Tables, block_tables, clean_table
from bench.results.takeover import take_over
from bench.results.workplace import Timing, Workplace, at_work
from bench.run.attempts import Attempts
from bench.run.clean import clean_rows
from bench.run.machine import threads, threads_for
from bench.run.measure_probe import measure_probe
from bench.run.progress import Progress, Shown, Silent
from bench.run.run import Run
from bench.run.workers import Workers

__all__ = ["Progress", "Silent", "measure", "run"]


def run(
    run: Run,
    progress: Progress,
    timing: Timing | None = None,
    begin_at: float = 0.0,
    stay: bool = True,
) -> bool:
    """Measure what is missing of a run, unit by unit, with whoever else is at work there.

    A unit is on the storage before the next one starts, so an interruption loses one unit at most.

    Args:
        run: what is to be measured.
        progress: who is told how far it is.
        timing: how long processes wait for each other.
        begin_at: share of the units after which this process begins.
        stay: end only when the finished file has every row that was asked for; False: end also
            when others measure all that is left.

    Returns:
        Whether the finished file has every row.

    Raises:
        BenchError: units failed too often, or the storage did; finished units are kept.
        KeyboardInterrupt: passed on; finished units are kept.
    """
    task = run.task
    keys = task.store.files.keys(task.store.address.blocks)
    if not keys and not task.anew and not run.missing():
        return True
    with at_work(task, timing) as place, Workers(run.request, begin_at, stay) as workers:
        noted = place.begin(run.note)
        run = run.at_pace(noted)
        place.take_task(run.task)
        with threads(run.pace.threads):
            shown = Shown(progress, _totals(run))
            done = _work(run, place, workers, shown, begin_at, stay, noted)
        if done:
            place.verify()
        return done


def _totals(run: Run) -> dict[str, int]:
    return {attack: len(ids) for attack, ids in run.task.asked.items()}


def _work(
    run: Run,
    place: Workplace,
    workers: Workers,
    shown: Shown,
    begin_at: float,
    stay: bool,
    noted: Mapping[str, Any],
) -> bool:
    take_over(place.campaign, run.task)
    workers.start(run.pace.threads)
    values = min(run.job.batch_size, len(run.sample_ids)) * math.prod(run.loaded.input_shape)
    attempts = Attempts(place)
    with threads_for(values, run.job.device):
        while True:
            for unit in place.units(begin_at, shown.missing, stay):
                shown.begin(unit.attack)
                tables = attempts.of(unit, partial(measure, run, unit, shown.through(unit.attack)))
                if tables is not None:
                    place.write(unit, tables)
            shown.begin(None)
            if run.plan.finish(place, noted):
                return True
            failed = place.given_up()
            if failed is not None:
                raise failed
            if not stay:
                return False


def measure(run: Run, unit: Unit, through: Callable[[int], None]) -> Tables:
    """Return the tables of a unit's block.

    Args:
        run: model, images and settings.
        unit: what to measure.
        through: told how many more samples are through.
    """
    if run.request.what.probe:
        return measure_probe(run, unit, through)
    if run.request.clean:
        found = clean_rows(run.job, unit.ids)
        through(len(unit.ids))
        return {"rows": clean_table(found)}
    deltas = run.request.how.save_perturbations
    block = run_block(run.job, unit.attack, unit.ids, keep_deltas=deltas, through=through)
    return block_tables(block, run.constants)
