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
    workers: int = 1,
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
        output: folder of the results, or a URL such as s3://bucket/folder; None: keep nothing on
            disk.
        overwrite: run again what is already there.
        save_perturbations: also write every perturbation, float32.
        workers: processes on this machine that share the work, each with a part of the threads.
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
        results: folder that `evaluate` wrote to, or a URL such as s3://bucket/folder.
        submissions: folder of submissions, or a URL.

    Returns:
        The files that were written; of a URL, its text as a path.

    Raises:
        BenchError: there is no such result, or it does not pass the checks.
    """
    from bench.entries import registry
    from bench.results.mirror import local_copy
    from bench.submissions.submit import submit as submit_file

    under = protocol or registry.default_protocol()
    wanted = [f"{under}/{dataset}/{model}{end}" for end in (".parquet", ".extras.parquet")]
    with (
        local_copy(results, lambda key: key in wanted) as source,
        local_copy(submissions, lambda key: False, write=True) as target,
    ):
        file = source.path / under / dataset / f"{model}.parquet"
        written, problems = submit_file(file, target.path)
        if problems:
            raise BenchError("; ".join(str(problem) for problem in problems))
        return [Path(target.named(path)) for path in written]


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
        submissions: folder of submissions, or a URL such as s3://bucket/folder.
        output: folder of the board, or a URL.
        figures: draw the figures too.

    Raises:
        BenchError: the folder of submissions is not there.
    """
    from bench.board.build import build
    from bench.board.write import render, write
    from bench.results.mirror import local_copy

    with local_copy(submissions) as source, local_copy(output, write=True) as target:
        return write(render(build(source.path), target.path, figures), target.path)


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
