"""Controlled studies: plan, run, submit, report, compare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BenchError

if TYPE_CHECKING:
    import pandas as pd

    from bench.studies.plan import StudyPlan
    from bench.studies.run import Progress

TIMING_SECONDS = 60.0
"""Of a plan, in which kinds of cells that nobody has run yet are timed."""


def _texts(name: str, value: str | Sequence[str]) -> tuple[str, ...]:
    """Return texts, one or several, as a tuple. Raises BenchError for anything else."""
    found = (value,) if isinstance(value, str) else value
    if not isinstance(found, Sequence) or not all(isinstance(text, str) for text in found):
        raise BenchError(f"expected {name} to be texts, got {value!r}; write {name}=['...']")
    return tuple(found)


def _whole(name: str, value: int) -> None:
    """Raise BenchError if a value is no whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise BenchError(f"expected {name} to be a whole number of at least 1, got {value!r}")


def _folder(name: str, value: str | Path) -> str:
    """Return a folder's path as text. Raises BenchError if it is none."""
    if not isinstance(value, str | Path):
        raise BenchError(f"expected {name} to be the path of a folder, got {value!r}")
    return str(value)


def study_plan(
    study: str | Path,
    *,
    cells: str | Sequence[str] = (),
    groups: str | Sequence[str] = (),
    output: str | Path = "results/studies",
    submissions: str | Path | None = "submissions/studies",
    time: bool = True,
    budget: float = TIMING_SECONDS,
    tell: Callable[[str, float], None] | None = None,
) -> StudyPlan:
    """Return a study's cells, which of them are there, and what the others cost.

    Args:
        study: as in `study_run`.
        cells: as in `study_run`.
        groups: as in `study_run`.
        output: as in `study_run`.
        submissions: as in `study_run`.
        time: time kinds of cells of which none is finished; False: their cost stays unknown.
        budget: seconds of timing in all; kinds that are left then stay unknown.
        tell: is told of each cell that is timed, and how many seconds are spent before it.

    Raises:
        BenchError: there is no such study, group or cell.
    """
    from bench.studies.plan import plan
    from bench.studies.run import StudyRun

    asked = StudyRun(
        study=str(study),
        cells=_texts("cells", cells),
        groups=_texts("groups", groups),
        output=_folder("output", output),
        submissions=None if submissions is None else _folder("submissions", submissions),
    )
    if not time:
        return plan(asked.shelf(), asked.blocks())
    from bench.studies.timing import Timer

    return plan(asked.shelf(), asked.blocks(), Timer(budget, tell))


def study_run(
    study: str | Path,
    *,
    cells: str | Sequence[str] = (),
    groups: str | Sequence[str] = (),
    engine: str = "local",
    workers: int = 1,
    address: str | None = None,
    gpus_per_task: float | None = None,
    partition: str | None = None,
    engine_options: Sequence[str] = (),
    output: str | Path = "results/studies",
    submissions: str | Path | None = "submissions/studies",
    data: str | None = None,
    data_dir: str | Path | None = None,
    limit: int | None = None,
    device: str = "cpu",
    offline: bool = False,
    again: bool = False,
    progress: Progress | None = None,
) -> int:
    """Train and measure the cells of a study that are missing.

    Args:
        study: a study of the registry, or the path of its TOML file.
        cells: names or patterns of cells; none: all.
        groups: names of groups; none: all.
        engine: "local", "ray" or "slurm": who runs the workers.
        workers: processes that share the blocks.
        address: of a Ray cluster; None: Ray is started on this machine.
        gpus_per_task: GPUs of a worker, with Ray also a part of one.
        partition: of SLURM.
        engine_options: "KEY=VALUE", handed to the engine as they are.
        output: folder of blocks, `<study>/<block>.parquet`, and of unfinished work.
        submissions: folder of blocks that are there already; None: none.
        data: as in `train`.
        data_dir: as in `train`.
        limit: first images of either split, for a trial.
        device: "cpu", "cuda" or "cuda:<i>".
        offline: never ask the network.
        again: also what `submissions` has, for `study_compare`.
        progress: who is told how far it is.

    Returns:
        How many blocks this process, or the engine's workers, have finished.

    Raises:
        BenchError: the request can't be met; the text says what to do.
    """
    from bench.run.engines.choice import Engine
    from bench.studies.run import StudyRun, run
    from bench.studies.source import Source

    _whole("workers", workers)
    if limit is not None:
        _whole("limit", limit)
    chosen = Engine(
        engine=engine,
        workers=workers,
        address=address,
        gpus_per_task=gpus_per_task,
        partition=partition,
        engine_options=tuple(engine_options),
    )

    source = Source(data, None if data_dir is None else str(data_dir), limit, offline)
    asked = StudyRun(
        study=str(study),
        cells=_texts("cells", cells),
        groups=_texts("groups", groups),
        source=source,
        output=_folder("output", output),
        submissions=None if submissions is None or again else _folder("submissions", submissions),
        device=device,
        workers=workers,
    )
    if engine != "local":
        from bench.studies.spread import run_in

        return run_in(chosen, asked)
    return run(asked, progress)


def study_submit(
    study: str | Path,
    *,
    output: str | Path = "results/studies",
    submissions: str | Path = "submissions",
) -> list[Path]:
    """Check the finished blocks of a study and copy them into the folder of submissions.

    Args:
        study: as in `study_run`.
        output: folder that `study_run` wrote to.
        submissions: folder of submissions; blocks go to `studies/<study>/` there.

    Returns:
        The files that were written: blocks that are not there yet, or were other ones.

    Raises:
        BenchError: a block does not pass the checks; none is copied.
    """
    from bench.entries import registry
    from bench.submissions.studies import submit_blocks

    folders = Path(_folder("output", output)), Path(_folder("submissions", submissions))
    return submit_blocks(registry.study(str(study)), *folders)


def study_report(
    studies: str | Path = "submissions/studies",
    submissions: str | Path = "submissions",
    output: str | Path = "leaderboard",
    own: str | Path | None = None,
) -> dict[str, str]:
    """Hold all studies to their claims: write the pages and figures, and return the verdicts.

    Args:
        own: TOML file of a study that is not in the registry, to be reported alone.
        studies: folder of `<study>/<block>.parquet`; what is missing in it is undecided.
        submissions: folder of the board's results.
        output: folder of the board.

    Returns:
        Name of a claim -> "supported", "negligible", "contradicted", "depends" or "undecided".

    Raises:
        BenchError: a study or the place can't be read or written.
    """
    from bench.board.claims.write import report, write

    made = report(
        Path(_folder("studies", studies)),
        Path(_folder("submissions", submissions)),
        Path(_folder("output", output)),
        None if own is None else str(own),
    )
    write(made.files, Path(output))
    return {each.claim.name: each.verdict.word for each in made.judged}


def study_compare(
    study: str | Path,
    *,
    output: str | Path = "results/studies",
    submissions: str | Path = "submissions/studies",
) -> pd.DataFrame:
    """Compare blocks that were run again with those that are there.

    Args:
        study: as in `study_run`.
        output: folder that the second run wrote to.
        submissions: folder of blocks that are there.

    Returns:
        One row per cell that both folders have: `cell`; `rows`, and `rows_differ`, how many are not
        the same bits; the largest difference over the checkpoints of the mean RFC (`rfc`, 1 =
        Nyquist), of the mean norm (`l2`, a share), of the test accuracy (`test_accuracy`, points)
        and of the training loss (`loss`); `agrees`: the mean RFC within a twentieth of the study's
        smallest effect of interest, the norm within 1 % and the accuracy within half a point;
        `other`: what of the data, attack or cell is another, then there are no numbers.

    Raises:
        BenchError: no block is in both folders.
    """
    import pandas as pd

    from bench.studies.agreement import compared

    folders = Path(_folder("output", output)), Path(_folder("submissions", submissions))
    return pd.DataFrame(compared(str(study), *folders))
