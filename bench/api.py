"""The Python calls of the verbs. Nothing heavy is imported before one of them is used."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BenchError

if TYPE_CHECKING:
    import pandas as pd

    from bench.board.compare import Difference
    from bench.board.join.join import Joined
    from bench.run.progress import Progress
    from bench.studies.plan import StudyPlan
    from bench.studies.run import Progress as StudyProgress
    from bench.submissions.check.problems import Problem
    from bench.submissions.verify.remeasure import Verification


def evaluate(
    model: str,
    dataset: str | None = None,
    *,
    weights: str | Path = "default",
    trust: bool = False,
    attacks: Sequence[str] = (),
    protocol: str | None = None,
    data: str | None = None,
    data_dir: str | Path | None = None,
    limit: int | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    seed: int | None = None,
    output: str | Path | None = "results",
    overwrite: bool = False,
    save_perturbations: bool = False,
    engine: str = "local",
    workers: int = 1,
    shard: str | None = None,
    address: str | None = None,
    gpus_per_task: float | None = None,
    partition: str | None = None,
    engine_options: Sequence[str] = (),
    offline: bool = False,
    submissions: str | Path | None = "submissions",
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Evaluate one model and return its rows.

    Args:
        model: entry name, timm `arch.tag`, or the path of an entry's TOML file.
        dataset: must be the entry's, if given.
        weights: "default" (the entry's), "random" (an untrained control), or a file.
        trust: allow entries with a `factory`, which runs their code.
        attacks: names from the protocol; all by default.
        protocol: name of the protocol; None: the one that ranks (minimal2026).
        data: "hub", "embedded" or "samples"; see README for the default.
        data_dir: a local copy of the data set.
        limit: only the first so many samples; the result is partial and never ranked.
        batch_size: samples attacked together; None: chosen from the input's size.
        device: "auto", "cpu", "cuda" or "cuda:<i>".
        seed: another than the protocol's makes the result partial.
        output: folder of the results; None: keep nothing on disk.
        overwrite: run again what is already there.
        save_perturbations: also write every perturbation, float32.
        engine: "local", "ray" or "slurm": who runs the workers.
        workers: processes that share the work; on this machine each has a part of the threads.
        shard: "I/N", where this process begins among N; None: the SLURM array's task that it is.
        address: of a Ray cluster; None: Ray is started on this machine.
        gpus_per_task: GPUs of a worker, with Ray also a part of one.
        partition: of SLURM.
        engine_options: "KEY=VALUE", handed to the engine as they are.
        offline: never ask the network.
        submissions: folder whose result of the same model is compared with this one, with a
            warning if the model has changed; None: none.
        progress: who is told how far the run is.

    Returns:
        One row per (attack, sample_id), the columns of the result file (README, "Columns").

    Raises:
        BenchError: the request can't be met; the text says what to do.
    """
    options = dict(locals())
    del options["output"], options["progress"]
    from bench.run.evaluate import evaluate_request
    from bench.run.request import Request

    request = Request.of(**options)
    if output is not None:
        return evaluate_request(request.but(output=output), progress)[1]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        return evaluate_request(request.but(output=folder), progress)[1]


def submit(
    model: str,
    dataset: str,
    *,
    protocol: str | None = None,
    results: str | Path = "results",
    submissions: str | Path = "submissions",
) -> list[Path]:
    """Check a complete result and put its compact form into the folder of submissions.

    Args:
        model: its name in the results, `<model>@random` for an untrained control.
        dataset: name of the data set.
        protocol: name of the protocol; None: the one that ranks (minimal2026).
        results: folder that `evaluate` wrote to.
        submissions: folder of submissions.

    Returns:
        The files that were written.

    Raises:
        BenchError: there is no such result, or it does not pass the checks.
    """
    from bench.entries import registry
    from bench.submissions.submit import submit as submit_file

    under = protocol or registry.default_protocol()
    source = Path(results) / under / dataset / f"{model}.parquet"
    written, problems = submit_file(source, Path(submissions))
    if problems:
        raise BenchError("; ".join(str(problem) for problem in problems))
    return written


def check(paths: Sequence[str | Path] = ("submissions",)) -> list[Problem]:
    """Return every problem of the submissions in files or folders; nothing in them is run.

    The registry's model entries are checked with them.
    """
    from bench.submissions.check.everything import check_everything

    return check_everything([Path(path) for path in paths]).problems


def verify(
    path: str | Path,
    *,
    samples: int = 16,
    secret: str | None = None,
    who: str | None = None,
    weights: str | Path = "default",
    data: str | None = None,
    data_dir: str | Path | None = None,
    device: str = "auto",
    trust: bool = False,
    offline: bool = False,
) -> Verification:
    """Measure a random choice of a submission's rows again and compare; writes no record.

    Args:
        path: the submission.
        samples: how many rows.
        secret: with the file's hash it chooses the rows; None: a fresh one.
        who: name for the record; None: the user's.
        weights: "default" or a file.
        data: as in `evaluate`.
        data_dir: as in `evaluate`.
        device: as in `evaluate`.
        trust: as in `evaluate`.
        offline: as in `evaluate`.

    Raises:
        BenchError: not a submission, or its weights or images are not at hand.
    """
    given = dict(locals())
    from bench.run.request import Request
    from bench.submissions.verify.records import user
    from bench.submissions.verify.remeasure import verify as measure_again

    chosen = secret or secrets.token_hex(16)
    request = Request.of(**{name: given[name] for name in VERIFY})
    return measure_again(Path(path), samples, chosen, who or user(), request)


VERIFY = ("weights", "data", "data_dir", "device", "trust", "offline")
"""Options of `verify` that say how to measure."""


def compare(
    first: str, second: str, *, folders: Sequence[str | Path] = ("results", "submissions")
) -> list[Difference]:
    """Return the paired differences of two models, first minus second, with intervals.

    Args:
        first: a model's name, or a result file.
        second: another one.
        folders: where names are looked for, in this order.

    Raises:
        BenchError: one of them is not there, or they are not comparable.
    """
    from bench.board.compare import compare as differences
    from bench.board.compare import open_pair, resolve

    places = [Path(folder) for folder in folders]
    return differences(*open_pair(resolve(first, places), resolve(second, places)))


def join(
    tables: str | Path | Sequence[str | Path],
    *,
    metric: str = "rfc",
    attack: str | None = None,
    dataset: str | None = None,
    protocol: str | None = None,
    key: str = "model",
    columns: Sequence[str] = (),
    carry: bool = True,
    submissions: str | Path = "submissions",
) -> list[Joined]:
    """Join public numbers to the board's by model name, with rank correlations.

    Args:
        tables: CSV files with a column of model names, such as timm's result tables.
        metric: the column of the board that is correlated with every joined column of numbers.
        attack: whose; None: the protocol's primary one.
        dataset: only tables of the board of this data set.
        protocol: only tables of the board of this protocol.
        key: the column of model names.
        columns: which other columns to take; none: all.
        carry: let the intervals carry each model's own uncertainty over samples as well.
        submissions: folder of submissions.

    Returns:
        One for each table of the board (data set, protocol hash, input size): who was matched
        how, and `correlations`, column -> n, Spearman's rho and Kendall's tau-b with intervals.

    Raises:
        BenchError: a file is not such a table, or it names no model of the board.
    """
    from bench.board.build import build
    from bench.board.join.join import choose
    from bench.board.join.join import join as join_tables
    from bench.board.join.table import read_tables

    paths = [tables] if isinstance(tables, str | Path) else tables
    external = read_tables([Path(path) for path in paths], key, columns)
    board = choose(build(Path(submissions)), dataset, protocol)
    return join_tables(board, external, metric, attack, carry)


def leaderboard(
    submissions: str | Path = "submissions",
    output: str | Path = "leaderboard",
    *,
    figures: bool = True,
) -> list[str]:
    """Make the leaderboard from submissions and return which of its files changed.

    Args:
        submissions: folder of submissions.
        output: folder of the board.
        figures: draw the figures too.

    Raises:
        BenchError: the folder of submissions is not there.
    """
    from bench.board.build import build
    from bench.board.write import render, write

    folder = Path(output)
    return write(render(build(Path(submissions)), folder, figures), folder)


def probe_transfer(
    model: str,
    dataset: str | None = None,
    *,
    input_size: tuple[int, int] | None = None,
    seed: int = 0,
    output: str | Path | None = "results",
) -> pd.DataFrame:
    """Measure the frequency response of a model's evaluation transform; no weights are needed.

    Args:
        model: entry name, timm `arch.tag`, or the path of an entry's TOML file.
        dataset: must be the entry's, if given.
        input_size: (width, height) of the images that go in, pixels; None: 500 x 375 where the
            data set's images pass a transform, else as they are stored.
        seed: of the sinusoids' phases and the noise.
        output: folder of the results; None: keep nothing on disk.

    Returns:
        One row per sinusoid and per ring of white noise: the columns of
        `results/probes/<dataset>/<model>.transfer.parquet` (`bench.results.probes.TRANSFER`).

    Raises:
        BenchError: unknown model, or a size that makes no sense.
    """
    from bench.probes.run import plan_transfer, rows, run_transfer, write
    from bench.results.filesystem import files_at
    from bench.results.probes import TRANSFER, table

    files = None if output is None else files_at(output)
    plan = plan_transfer(model, dataset, input_size, seed)
    if files is not None:
        files.prepare()
    found = run_transfer(plan)
    if files is not None:
        write(found, files)
    result: pd.DataFrame = table(rows(found), TRANSFER).to_pandas()
    return result.astype({"aliased": "boolean"})


def study_run(
    study: str,
    *,
    cells: Sequence[str] = (),
    groups: Sequence[str] = (),
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
    progress: StudyProgress | None = None,
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
        progress: who is told how far it is.

    Returns:
        How many blocks this process, or the engine's workers, have finished.

    Raises:
        BenchError: the request can't be met; the text says what to do.
    """
    from bench.run.engines.choice import Engine
    from bench.studies.run import StudyRun, run
    from bench.studies.source import Source

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
        study=study,
        cells=tuple(cells),
        groups=tuple(groups),
        source=source,
        output=str(output),
        submissions=None if submissions is None else str(submissions),
        device=device,
        workers=workers,
    )
    if engine != "local":
        from bench.studies.spread import run_in

        return run_in(chosen, asked)
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


def study_submit(
    study: str,
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

    return submit_blocks(registry.study(study), Path(output), Path(submissions))
