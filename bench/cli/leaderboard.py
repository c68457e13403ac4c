"""`bench leaderboard`: from submissions to tables, figures and a page."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.results.mirror import Local


def leaderboard(
    submissions: Annotated[
        str,
        typer.Option(
            help="Folder of <protocol>/<dataset>/<model>.parquet, here or at s3://bucket/folder."
        ),
    ] = "submissions",
    output: Annotated[
        str, typer.Option("--output", "-o", help="Folder of the board, or s3://bucket/folder.")
    ] = "leaderboard",
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 2 if the board is stale.")
    ] = False,
    figures: Annotated[
        bool, typer.Option(help="Draw figures and put spectra into the page.")
    ] = True,
) -> None:
    """Make the leaderboard: Markdown, one page (index.html), CSV and figures.

    The same submissions give the same bytes. A figure is drawn again only if its data or the code
    that draws it has changed.
    """
    # the board has threads of its own; BLAS threads beside them wait for each other
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from bench.results.mirror import local_copy

    with (
        local_copy(submissions) as source,
        local_copy(output, write=not check) as target,
    ):
        _make(source, target, check, figures)


def _make(source: Local, target: Local, check: bool, figures: bool) -> None:
    """Make the board of a folder in another, or compare it with what is there."""
    from bench.board.build import build
    from bench.board.write import existing, render, stale, write

    board = build(source.path)
    if not board.tables and (existing(target.path) or not board.unusable):
        raise BenchError(
            f"expected submissions that can be shown in {source.place}, found none "
            f"({len(board.unusable)} files can't be); name the folder with --submissions, the "
            f"board in {target.place} stays as it is"
        )
    files = render(board, target.path, figures)
    if check:
        found = stale(files, target.path)
        if found:
            raise BenchError(
                f"expected the board in {target.place} to be what {source.place} gives, found "
                f"{len(found)} differences ({'; '.join(found[:8])}); run `bench leaderboard`"
            )
        sys.stdout.write(f"{target.place} is up to date\n")
        return
    changes = write(files, target.path)
    ranked = sum(len(table.ranked) for table in board.tables)
    rows = sum(len(table.rows) for table in board.tables)
    sys.stdout.write(
        f"{target.place}: {rows} models in {len(board.tables)} tables, {ranked} ranked; "
        f"{len(changes)} files changed, {len(files) - len(changes)} as they were\n"
    )
    for item in board.unusable:
        sys.stderr.write(source.named(f"not shown: {item.path}: {item.reason}\n"))
