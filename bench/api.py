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
    from torch import nn

    from bench.run.progress import Progress
    from bench.show.picture import Picture
    from bench.submissions.check.problems import Problem
    from bench.submissions.verify.remeasure import Verification


def evaluate(
    model: str | Path | nn.Module | Sequence[str],
    dataset: str | None = None,
    *,
    name: str | None = None,
    weights: str | Path = "default",
    trust: bool = False,
    attacks: str | Sequence[str] = (),
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
    progress: Progress | bool | None = None,
) -> pd.DataFrame:
    """Evaluate models and return their rows.

    Args:
        model: an `nn.Module` from (B, C, H, W) float images in [0, 1] to (B, classes) logits,
            normalisation inside, of which a copy is measured in eval mode; or an entry's name, a
            timm `arch.tag`, the path of an entry's TOML file, a pattern (`"fashionmnist-*"`), or a
            list of these.
        dataset: needed for a module; else it must be the entry's, if given.
        name: of a module's result, which is partial and never ranked: it has no entry. None: the
            name of its class. An entry's name is for the very model of that entry.
        weights: "default" (the entry's), "random" (an untrained control), or a file.
        trust: allow entries with a `factory`, which runs their code.
        attacks: a name or names from the protocol; all by default.
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
        save_perturbations: also write every perturbation, at the precision of a float16 where
            that leaves every metric within its tolerance, else of a float32.
        engine: "local", "ray" or "slurm": who runs the workers.
        workers: processes that share the work; on this machine each has a part of the threads. 1
            for a module, which other processes can't open.
        shard: "I/N", where this process begins among N; None: the SLURM array's task that it is.
        address: of a Ray cluster; None: Ray is started on this machine.
        gpus_per_task: GPUs of a worker, with Ray also a part of one.
        partition: of SLURM.
        engine_options: "KEY=VALUE", handed to the engine as they are.
        offline: never ask the network.
        submissions: folder whose result of the same model is compared with this one, with a
            warning if the model has changed; None: none.
        progress: None: shown on a terminal and in a notebook; True: shown; False: not; or who is
            told how far the run is (`bench.run.progress.Progress`).

    Returns:
        One row per (attack, sample_id) of each model, the columns of the result file (README,
        "Columns"). `bench.summary` and `bench.plot` take it.

    Raises:
        BenchError: the request can't be met; the text says what to do.
    """
    options = dict(locals())
    for mine in ("model", "name", "output", "progress"):
        del options[mine]
    from bench.run.call import evaluate_models

    return evaluate_models(model, name, output, progress, options)


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
"""Options of `verify` and `challenge` that say how to measure."""


def summary(
    result: pd.DataFrame | str | Path,
    *,
    folders: Sequence[str | Path] = ("results", "submissions"),
) -> pd.DataFrame:
    """Return the numbers that `bench eval` prints, a row for each model and attack.

    Args:
        result: the rows of `evaluate` (all columns, any number of models), or a model's name or
            result file.
        folders: where a name is looked for, in this order; partial results too.

    Returns:
        model, dataset, protocol, attack, norm, witness (whether it only tests the minimal
        attacks); n_samples, n_clean_correct, n_kept (fooled, with a spectrum); clean_accuracy and
        success in [0, 1], median_norm ([0, 1] pixels; infinite where fewer than half are fooled),
        rfc and hfe, each with `_low` and `_high` (95 % over the images; NaN where there is none);
        image_rfc of the clean images, white_rfc of white noise; partial.

    Raises:
        BenchError: these are no such rows, or there is no such result.
    """
    from bench.show.frames import results, summary_frame

    return summary_frame(results(result, [Path(folder) for folder in folders]))


def plot(
    result: pd.DataFrame | str | Path,
    *,
    output: str | Path | Sequence[str | Path] = (),
    attack: str | None = None,
    folders: Sequence[str | Path] = ("results", "submissions"),
    submissions: str | Path | None = "submissions",
) -> Picture:
    """Return a picture of one model: numbers, radial profile, mean spectrum, distances, examples.

    A notebook shows it; `save("x.png")`, `save("x.svg")` and `save("x.html")` write it.

    Args:
        result: the rows of `evaluate` of one model, or a model's name or result file.
        output: files to write at once: `.png`, `.svg`, or `.html` (one page that needs nothing).
        attack: whose perturbations; None: the protocol's primary attack.
        folders: where a name is looked for, in this order; partial results too.
        submissions: folder whose models of the same data set, protocol and input size are drawn
            thin beside it; None: none.

    Raises:
        BenchError: these are no such rows, there is no such result, or nothing can be written.
    """
    from bench.show.frames import results
    from bench.show.picture import picture

    found = results(result, [Path(folder) for folder in folders])
    made = picture(found, attack, None if submissions is None else Path(submissions))
    for path in [output] if isinstance(output, str | Path) else output:
        made.save(path)
    return made


def challenge(
    path: str | Path,
    *,
    who: str | None = None,
    submissions: str | Path = "submissions",
    weights: str | Path = "default",
    data: str | None = None,
    data_dir: str | Path | None = None,
    device: str = "auto",
    trust: bool = False,
    offline: bool = False,
    check: bool = False,
) -> pd.DataFrame:
    """Judge perturbations smaller than a row's by forward passes, and keep them as best known.

    Args:
        path: `.npz` of `np.savez` with attack, sample_id (n,), delta (n, C, H, W) float32,
            protocol, dataset, model, weights_sha256, and maybe who and label; or Parquet.
        who: name of the sender for the board; None: the file's, else the user's.
        submissions: folder of submissions; accepted ones go to `<model>.challenge.parquet` there.
        weights: "default" or the file of the weights of that row.
        data: as in `evaluate`.
        data_dir: as in `evaluate`.
        device: as in `evaluate`.
        trust: as in `evaluate`.
        offline: as in `evaluate`.
        check: judge what was accepted before, as the pull request does; write nothing.

    Returns:
        attack, sample_id, accepted, norm ([0, 1] pixels), best_known (before), reason ("" if it
        is accepted): a row for each perturbation, in the order of the file.

    Raises:
        BenchError: no such file or row, or perturbations of another model.
    """
    given = dict(locals())
    from bench.run.asked import check_asked
    from bench.run.request import Request

    request = Request.of(**{name: given[name] for name in VERIFY})
    check_asked(request, named=False)
    from bench.show.frames import verdict_frame
    from bench.submissions.challenge.challenge import challenge as judge

    found = judge(Path(path), Path(submissions), request, who, again=check)
    return verdict_frame(found.verdicts)


def compare(
    first: str | Path,
    second: str | Path,
    *,
    folders: Sequence[str | Path] = ("results", "submissions"),
) -> pd.DataFrame:
    """Return the paired differences of two models, first minus second, the primary attack first.

    Args:
        first: a model's name, or a result file.
        second: another one.
        folders: where names are looked for, in this order.

    Returns:
        attack, quantity, n (common samples), first and second (means over them), difference with
        `_low` and `_high` (NaN below 30 samples), told_apart, headline. The intervals of the
        headline (RFC, norm and success under the primary attack) hold together in 95 % of cases,
        and so do those of all others; told_apart is within that family. `attrs` name the models.

    Raises:
        BenchError: one of them is not there, or they are not comparable.
    """
    from bench.board.compare import compare as differences
    from bench.board.compare import open_pair
    from bench.show.frames import difference_frame
    from bench.show.source import locate

    places = [Path(folder) for folder in folders]
    a, b = open_pair(locate(str(first), places), locate(str(second), places))
    return difference_frame(differences(a, b), a.name, b.name)


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
    correlations: bool = False,
    submissions: str | Path = "submissions",
) -> pd.DataFrame:
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
        correlations: return the rank correlations instead of the joined models.
        submissions: folder of submissions.

    Returns:
        A row for each model: the board's columns (as `leaderboard.csv`), then each public
        table's, `<table>.<column>`, with `<table>.matched` saying by what it was found. With
        `correlations` a row for each table of the board and joined column: n, spearman and
        kendall with `_low` and `_high`, over the models that pass the gates.

    Raises:
        BenchError: a file is not such a table, or it names no model of the board.
    """
    options = dict(locals())
    del options["tables"], options["correlations"]
    from bench.board.join.call import join_files
    from bench.show.frames import correlation_frame, joined_frame

    parts = join_files(tables, **options)
    return correlation_frame(parts) if correlations else joined_frame(parts)


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


def publish(
    submissions: str | Path = "submissions",
    output: str | Path = "results/publish",
    *,
    repository: str | None = None,
) -> list[Path]:
    """Write what other places read: Hugging Face, Croissant, a citation, Zenodo. Uploads nothing.

    Args:
        submissions: folder of submissions.
        output: folder that the files are written to.
        repository: `owner/name` of the data set on Hugging Face.

    Returns:
        The files.

    Raises:
        BenchError: no submissions, a name that is none, or mlcroissant is missing.
    """
    from bench.publish.write import REPOSITORY, files, write

    return write(files(Path(submissions), repository or REPOSITORY), Path(output))


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


def study_report(
    studies: str | Path = "submissions/studies",
    submissions: str | Path = "submissions",
    output: str | Path = "leaderboard",
) -> dict[str, str]:
    """Hold all studies to their claims: write the pages and figures, and return the verdicts.

    Args:
        studies: folder of `<study>/<block>.parquet`; what is missing in it is undecided.
        submissions: folder of the board's results.
        output: folder of the board.

    Returns:
        Name of a claim -> "supported", "contradicted", "depends" or "undecided".

    Raises:
        BenchError: a study or the place can't be read or written.
    """
    from bench.board.claims.write import report, write

    made = report(Path(studies), Path(submissions), Path(output))
    write(made.files, Path(output))
    return {each.claim.name: each.verdict.word for each in made.judged}


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


def probe(
    name: str,
    model: str,
    dataset: str | None = None,
    *,
    limit: int = 200,
    twin: bool = True,
    weights: str | Path = "default",
    trust: bool = False,
    data: str | None = None,
    data_dir: str | Path | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    seed: int | None = None,
    output: str | Path | None = "results",
    overwrite: bool = False,
    workers: int = 1,
    offline: bool = False,
) -> pd.DataFrame:
    """Measure a probe on a model and on the same net untrained.

    Args:
        name: "bands", "heatmap", "filters" or "gradient" (`bench.entries.probes.PROBES`).
        model: entry name, timm `arch.tag`, or the path of an entry's TOML file.
        dataset: must be the entry's, if given.
        limit: the first so many of the protocol's samples.
        twin: also measure the untrained net, `<model>@random`.
        weights: "default" (the entry's), or a file.
        trust, data, data_dir, batch_size, device, overwrite, workers, offline: as in `evaluate`.
        seed: of all draws; None: the protocol's.
        output: folder of the results; None: keep nothing on disk.

    Returns:
        One row per (model, attack, sample_id), `attack` being a part of the probe such as
        "band-3"; columns as the class of the probe says (`bench.entries.probes.probe_class`).

    Raises:
        BenchError: the request can't be met; the text says what to do.
    """
    options = {key: value for key, value in locals().items() if key not in ("name", "twin")}
    from bench.probes.evaluate import asked_of, with_twin
    from bench.run.measure_probe import probe_rows

    if output is not None:
        return probe_rows(with_twin(asked_of(name, **options), twin))
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        return probe_rows(with_twin(asked_of(name, **{**options, "output": folder}), twin))


def selftest(device: str = "auto") -> pd.DataFrame:
    """Measure known values again on this machine: spectra, minima of linear models, the theory.

    Args:
        device: "auto", "cpu", "cuda" or "cuda:<i>".

    Returns:
        One row a value: value, expected, found (NaN where it broke), tolerance, ok, problem.

    Raises:
        BenchError: there is no such device.
    """
    import pandas as pd

    from bench.known.run import selftest as measure
    from bench.run.choose import choose_device

    lines = measure(choose_device(device))
    return pd.DataFrame([line.cells() for line in lines])


def rescore(
    model: str,
    dataset: str | None = None,
    *,
    metrics: Sequence[str] = (),
    everything: bool = False,
    protocol: str | None = None,
    data: str | None = None,
    data_dir: str | Path | None = None,
    output: str | Path = "results",
    offline: bool = False,
) -> pd.DataFrame:
    """Measure metrics of a result from its stored perturbations; nothing is attacked.

    Args:
        model: its name in the results, `<model>[@random][@seedN]`.
        dataset: name of the data set; None: the entry's.
        metrics: names to replace; none: fill what the file lacks.
        everything: replace all metrics.
        protocol: name of the protocol; None: the one that ranks (minimal2026).
        data: as in `evaluate`.
        data_dir: as in `evaluate`.
        output: folder that `evaluate` wrote to, with `save_perturbations`.
        offline: never ask the network.

    Returns:
        One row per attack and metric: attack, metric, n, filled, largest (difference from what
        was there; NaN where nothing was), written.

    Raises:
        BenchError: no such result, no perturbations, or they are not those of its rows.
    """
    given = dict(locals())
    import pandas as pd

    from bench.run.request import Request
    from bench.run.rescore import rescore as measure

    del given["metrics"], given["everything"]
    changes = measure(Request.of(**given), metrics, everything)
    return pd.DataFrame([vars(change) for change in changes])


def check_theory(
    model: str,
    *,
    weights: str | Path = "default",
    seed: int = 0,
    output: str | Path | None = "results",
) -> pd.DataFrame:
    """Check the paper's theory on one of its nets, trained against untrained.

    Args:
        model: entry name of one of the paper's nets.
        weights: "default", or a checkpoint of `train`.
        seed: of the untrained weights.
        output: folder of the results; None: keep nothing on disk.

    Returns:
        One row a statement: weights, statement, scope, status ("proved", "measured" or
        "violated"), quantity, n, low, median, high, share (for which it fails; NaN: can't).

    Raises:
        BenchError: it is not one of the paper's nets, or its weights have no layers.
    """
    import pandas as pd

    from bench.results.filesystem import files_at
    from bench.theory.report import plan, report, write

    found = report(plan(model, str(weights)), str(weights), seed)
    if output is not None:
        files = files_at(output)
        files.prepare()
        write(found, files)
    return pd.DataFrame(found.rows())
