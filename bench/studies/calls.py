"""The Python calls of studies. Nothing heavy is imported before one of them is used."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.studies.plan import StudyPlan
    from bench.studies.run import Progress


def study_run(
    study: str,
    *,
    cells: Sequence[str] = (),
    groups: Sequence[str] = (),
    workers: int = 1,
    output: str | Path = "results/studies",
    submissions: str | Path | None = "submissions/studies",
    data: str | None = None,
    data_dir: str | Path | None = None,
    limit: int | None = None,
    device: str = "cpu",
    offline: bool = False,
    progress: Progress | None = None,
) -> int:
    """Train and measure the cells of a study that are missing.

    Args:
        study: a study of the registry, or the path of its TOML file.
        cells: names or patterns of cells; none: all.
        groups: names of groups; none: all.
        workers: processes on this machine that share the work.
        output: folder of blocks, `<study>/<block>.parquet`, and of unfinished work.
        submissions: folder of blocks that are there already; None: none.
        data: as in `train`.
        data_dir: as in `train`.
        limit: first images of either split, for a trial.
        device: "cpu", "cuda" or "cuda:<i>".
        offline: never ask the network.
        progress: who is told how far it is.

    Returns:
        How many blocks this process has finished.

    Raises:
        BenchError: the request can't be met; the text says what to do.
    """
    from bench.studies.run import StudyRun, run
    from bench.studies.source import Source

    source = Source(data, None if data_dir is None else str(data_dir), limit, offline)
    asked = StudyRun(
        study=study,
        cells=tuple(cells),
        groups=tuple(groups),
        source=source,
        output=str(output),
        submissions=None if submissions is None else str(submissions),
        device=device,
        workers=workers,
    )
    return run(asked, progress)


def study_plan(
    study: str,
    *,
    cells: Sequence[str] = (),
    groups: Sequence[str] = (),
    output: str | Path = "results/studies",
    submissions: str | Path | None = "submissions/studies",
    time: bool = True,
) -> StudyPlan:
    """Return a study's cells, which of them are there, and what the others cost.

    Args:
        study: as in `study_run`.
        cells: as in `study_run`.
        groups: as in `study_run`.
        output: as in `study_run`.
        submissions: as in `study_run`.
        time: time kinds of cells of which none is finished; False: their cost stays unknown.

    Raises:
        BenchError: there is no such study, group or cell.
    """
    from bench.studies.plan import plan
    from bench.studies.run import StudyRun

    asked = StudyRun(
        study=study,
        cells=tuple(cells),
        groups=tuple(groups),
        output=str(output),
        submissions=None if submissions is None else str(submissions),
    )
    if not time:
        return plan(asked.shelf(), asked.blocks())
    from bench.studies.timing import timed

    return plan(asked.shelf(), asked.blocks(), timed)


def study_compare(
    study: str,
    *,
    output: str | Path = "results/studies",
    submissions: str | Path = "submissions/studies",
) -> dict[str, list[str]]:
    """Compare blocks that were run again with those that are there.

    Args:
        study: as in `study_run`.
        output: folder that the second run wrote to.
        submissions: folder of blocks that are there.

    Returns:
        Block -> in what the two differ, a line each, but for times, machine and versions; none:
        they are the same numbers.

    Raises:
        BenchError: no block is in both folders.
    """
    from bench.studies.places import compared

    return compared(study, Path(output), Path(submissions))
