"""`bench study report`: from blocks of studies to claims with verdicts."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.errors import BenchError


def report(
    name: Annotated[
        str | None,
        typer.Argument(
            help="Print this study's verdicts only; the pages hold all. A TOML file: a study of "
            "your own, reported alone."
        ),
    ] = None,
    studies: Annotated[
        Path, typer.Option("--studies", help="Folder of <study>/<block>.parquet.")
    ] = Path("submissions/studies"),
    submissions: Annotated[
        Path, typer.Option(help="Folder of <protocol>/<dataset>/<model>.parquet.")
    ] = Path("submissions"),
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the board.")] = Path(
        "leaderboard"
    ),
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 2 if the pages are stale.")
    ] = False,
) -> None:
    """Hold the studies to their claims: claims.md, sensitivity.md, planted.md and figures.

    Works with whatever blocks are there; what has not run is undecided, with the command that
    runs it. The same blocks give the same bytes.

        bench study report                              from submissions/studies/
        bench study report --studies results/studies    from a run of one's own

        bench study report mine.toml --studies results/studies -o mine    a study of one's own
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from bench.board.claims.write import report as make
    from bench.board.claims.write import stale, write
    from bench.entries import registry

    if name is not None:
        registry.study(name)
    if not studies.is_dir() and studies != Path("submissions/studies"):
        raise BenchError(
            f"expected a folder of studies, found none in {studies}; name it with --studies, or "
            "run `bench study run` first"
        )
    if not submissions.is_dir() and submissions != Path("submissions"):
        raise BenchError(
            f"expected a folder of results, found none in {submissions}; name it with --submissions"
        )
    own = name if name is not None and name.endswith(".toml") else None
    if own is not None and output == Path("leaderboard"):
        raise BenchError(
            f"expected --output for a study that is not the registry's, found none with {own}; "
            "the board in leaderboard/ is that of the registry's studies"
        )
    made = make(studies, submissions, output, own)
    for found in made.studies:
        for line in found.stale:
            sys.stderr.write(f"left out: {line}\n")
    if check:
        changed = stale(made.files, output)
        if changed:
            raise BenchError(
                f"expected the pages in {output} to be what {studies} gives, found {len(changed)} "
                f"differences ({'; '.join(changed[:8])}); run `bench study report`"
            )
        sys.stdout.write(f"{output} is up to date\n")
        return
    changes = write(made.files, output)
    for each in made.judged:
        if own is not None or name in (None, each.found.study.name):
            sys.stdout.write(f"{each.claim.name}: {each.verdict.word}: {each.why}\n")
    sys.stdout.write(f"{output}: {len(changes)} of {len(made.files)} files changed\n")
