"""`bench leaderboard`: from submissions to tables, figures and a page."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.errors import BenchError


def leaderboard(
    submissions: Annotated[
        Path, typer.Option(help="Folder of <protocol>/<dataset>/<model>.parquet.")
    ] = Path("submissions"),
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the board.")] = Path(
        "leaderboard"
    ),
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
    from bench.board.build import build
    from bench.board.write import existing, render, stale, write

    board = build(submissions)
    if not board.tables and (existing(output) or not board.unusable):
        raise BenchError(
            f"expected submissions that can be shown in {submissions}, found none "
            f"({len(board.unusable)} files can't be); name the folder with --submissions, the "
            f"board in {output} stays as it is"
        )
    files = render(board, output, figures)
    if check:
        found = stale(files, output)
        if found:
            raise BenchError(
                f"expected the board in {output} to be what {submissions} gives, found "
                f"{len(found)} differences ({'; '.join(found[:8])}); run `bench leaderboard`"
            )
        sys.stdout.write(f"{output} is up to date\n")
        return
    changes = write(files, output)
    ranked = sum(len(table.ranked) for table in board.tables)
    rows = sum(len(table.rows) for table in board.tables)
    sys.stdout.write(
        f"{output}: {rows} models in {len(board.tables)} tables, {ranked} ranked; "
        f"{len(changes)} files changed, {len(files) - len(changes)} as they were\n"
    )
    for item in board.unusable:
        sys.stderr.write(f"not shown: {item.path}: {item.reason}\n")
