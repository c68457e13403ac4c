"""The engine for one machine: takes units until none is left, in one process or several."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from bench.measure.block import run_block
from bench.results.campaign import Unit
from bench.results.merge import Merged
from bench.results.provenance import now
from bench.results.tables import Tables, block_tables, clean_table
from bench.results.takeover import take_over
from bench.results.workplace import Timing, Workplace, at_work
from bench.run.clean import clean_metadata, clean_rows
from bench.run.machine import threads, threads_for
from bench.run.measure_probe import measure_probe
from bench.run.progress import Progress, Shown, Silent
from bench.run.run import Run
from bench.run.workers import Workers

__all__ = ["Progress", "Silent", "finish", "measure", "run"]


def run(run: Run, progress: Progress, timing: Timing | None = None, begin_at: float = 0.0) -> None:
    """Measure what is missing of a run, unit by unit, with whoever else is at work there.

    A unit is on the storage before the next one starts, so an interruption loses one unit at most.
    It ends only when the finished file has every row that was asked for.

    Args:
        run: what is to be measured.
        progress: who is told how far it is.
        timing: how long processes wait for each other.
        begin_at: share of the units after which this process begins.

    Raises:
        BenchError: the model or the storage failed; finished units are kept.
        KeyboardInterrupt: passed on; finished units are kept.
    """
    task = run.task
    keys = task.store.files.keys(task.store.address.blocks)
    if not keys and not task.anew and not run.missing():
        return
    with at_work(task, timing) as place, Workers(run.request) as workers:
        noted = place.begin(run.note)
        run = run.at_pace(noted)
        with threads(run.pace.threads):
            _work(run, place, workers, Shown(progress, _totals(run)), begin_at, noted)
        place.verify()


def _totals(run: Run) -> dict[str, int]:
    return {attack: len(ids) for attack, ids in run.task.asked.items()}


def _work(
    run: Run,
    place: Workplace,
    workers: Workers,
    shown: Shown,
    begin_at: float,
    noted: Mapping[str, Any],
) -> None:
    take_over(place.campaign, run.task)
    workers.start(run.pace.threads)
    values = min(run.job.batch_size, len(run.sample_ids)) * math.prod(run.loaded.input_shape)
    with threads_for(values, run.job.device):
        while True:
            for unit in place.units(begin_at, shown.missing):
                shown.begin(unit.attack)
                place.write(unit, measure(run, unit, partial(shown.advance, unit.attack)))
            shown.begin(None)
            if finish(run, place, noted):
                return


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


def finish(run: Run, place: Workplace, noted: Mapping[str, Any]) -> bool:
    """Merge the finished units into the result, with the metadata; False: some are missing."""

    def describe(merged: Merged) -> dict[str, Any]:
        times = {"started": noted.get("started") or run.metadata["started"], "ended": now()}
        if run.request.clean:
            return {**clean_metadata(run, merged), **times}
        present = merged.present
        expected = run.metadata["expected"]
        complete = all(present[attack] >= expected[attack] for attack in expected)
        return {"present": present, "complete": complete, **times}

    return place.finish(describe)
