"""Submissions and the board that is made of them."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BenchError

if TYPE_CHECKING:
    import pandas as pd

    from bench.submissions.check.problems import Problem
    from bench.submissions.verify.remeasure import Verification

VERIFY = ("weights", "data", "data_dir", "device", "trust", "offline")
"""Options of `verify` and `challenge` that say how to measure."""


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
    from bench.publishing.write import REPOSITORY, files, write

    return write(files(Path(submissions), repository or REPOSITORY), Path(output))
