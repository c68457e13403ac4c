"""A study's blocks shared by an engine's workers, by the same claims as between processes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bench.errors import BenchError
from bench.run.engines.choice import Engine
from bench.run.engines.each import each
from bench.studies.run import StudyRun, run


def run_in(engine: Engine, asked: StudyRun, poll: float = 2.0) -> int:
    """Run what is missing of a study in an engine's workers; return how many blocks they finished.

    Args:
        engine: which, with how many workers.
        asked: which blocks; its folders must be seen by every worker.
        poll: seconds between two looks at SLURM's queue.

    Raises:
        BenchError: a worker could not go on; finished blocks are kept.
    """
    output = Path(asked.output).absolute()
    submissions = asked.submissions
    one = replace(
        asked,
        output=str(output),
        submissions=None if submissions is None else str(Path(submissions).absolute()),
        workers=1,
        threads=engine.threads,
    )
    found = each(engine, run, [one] * engine.workers, output / ".slurm", poll=poll)
    failed = [outcome.reason for outcome in found if outcome.reason is not None]
    if failed:
        raise BenchError("; ".join(dict.fromkeys(failed)))
    return sum(int(outcome.value) for outcome in found)
