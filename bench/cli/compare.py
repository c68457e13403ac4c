"""`bench compare`: two models on the same samples."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.board.compare import Difference


def compare(
    first: Annotated[str, typer.Argument(help="A model's name, or a result file.")],
    second: Annotated[str, typer.Argument(help="Another one.")],
    results: Annotated[Path, typer.Option(help="Folder of results, looked at first.")] = Path(
        "results"
    ),
    submissions: Annotated[Path, typer.Option(help="Folder of submissions.")] = Path("submissions"),
    everything: Annotated[
        bool, typer.Option("--all", help="Every quantity of every attack; default: a page of them.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="SVG of both radial profiles. Default: in the folder of results."
        ),
    ] = None,
    plot: Annotated[Path | None, typer.Option("--plot", hidden=True)] = None,
) -> None:
    """Compare two models: paired differences per attack and quantity, and the overlay plot.

    A difference is first minus second on the samples that both keep, the primary attack first, of
    the others only success and the main quantities (`--all`: all). RFC, norm and success under
    the primary attack are read together, as the board's page shows them, and so are all others: the
    intervals of either family hold together in 95 % of cases, shown or not; `*` marks what is told
    apart, its family taken together.

    Examples:

        bench compare fashionmnist-full-conv-relu fashionmnist-local-conv-relu

        bench compare results/partial/minimal2026/fashionmnist/mine.parquet fashionmnist-full-conv
    """
    from bench.board.compare import compare as differences
    from bench.board.compare import open_pair, overlay
    from bench.figures.style import svg
    from bench.files import atomic
    from bench.results.read import file_sha256
    from bench.show.source import locate
    from bench.stats.stepdown import FEWEST_IDS

    folders = [results, submissions]
    a, b = open_pair(*(locate(name, folders, whole=True) for name in (first, second)))
    found = differences(a, b)
    if not found:
        raise BenchError(
            f"expected samples that both models keep, found none in {a.path} and {b.path}; "
            "evaluate both with the same attacks and samples"
        )
    primary = a.rules.primary
    shown = [d for d in found if everything or d.attack == primary or d.quantity in MAIN]
    headline = sum(d.headline for d in found)
    sys.stdout.write(
        f"first:  {a.path}\nsecond: {b.path}\n\n{_table(shown, (a.name, b.name))}\n"
        f"\n{len(found)} differences; 95 % intervals over images, for these weights (none below "
        f"{FEWEST_IDS} samples): the first {headline} hold simultaneously, and so do the other "
        f"{len(found) - headline}; *: told apart within its family\n"
    )
    if len(shown) < len(found):
        sys.stdout.write(f"{len(shown)} of them are shown; --all shows the others\n")
    target = output or plot or results / f"compare-{a.name}-{b.name}.svg"
    content = svg(overlay(a, b), f"{file_sha256(a.path)}-{file_sha256(b.path)}")
    with atomic(target) as temporary:
        temporary.write_bytes(content)
    sys.stdout.write(f"\nWritten: {target}\n")


MAIN = ("success", "l2", "linf", "rfc", "hfe")
"""Quantities that are shown of attacks other than the primary one."""


def _table(found: Sequence[Difference], names: tuple[str, str]) -> str:
    from bench.board.tabular import tabular
    from bench.board.text import interval, significant

    first, second = names if names[0] != names[1] else ("first", "second")
    return tabular(
        [
            {
                "attack": d.attack,
                "quantity": d.quantity,
                "n": str(d.n),
                first: significant(d.first),
                second: significant(d.second),
                "difference": interval(d.difference, 4),
                "": "*" if d.separable else "",
            }
            for d in found
        ]
    )
