"""`bench compare`: two models on the same samples."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def compare(
    first: Annotated[str, typer.Argument(help="A model's name, or a result file.")],
    second: Annotated[str, typer.Argument(help="Another one.")],
    results: Annotated[Path, typer.Option(help="Folder of results, looked at first.")] = Path(
        "results"
    ),
    submissions: Annotated[Path, typer.Option(help="Folder of submissions.")] = Path("submissions"),
    plot: Annotated[
        Path | None, typer.Option(help="SVG of both radial profiles; default: in results/.")
    ] = None,
) -> None:
    """Compare two models: paired differences per attack and quantity, and the overlay plot.

    A difference is first minus second on the samples that both keep. RFC, norm and success under
    the primary attack come first and are read together, as the board's page shows them; so are all
    the others. The intervals of either family hold together in 95 % of cases; `*` marks what is
    told apart, its family taken together.
    """
    from bench.board.compare import compare as differences
    from bench.board.compare import open_pair, overlay, resolve
    from bench.board.tabular import tabular
    from bench.board.text import interval, significant
    from bench.figures.style import svg
    from bench.files import atomic
    from bench.results.read import file_sha256
    from bench.stats.stepdown import FEWEST_IDS

    folders = [results, submissions]
    a, b = open_pair(resolve(first, folders), resolve(second, folders))
    found = differences(a, b)
    rows = [
        {
            "attack": d.attack,
            "quantity": d.quantity,
            "n": str(d.n),
            a.name: significant(d.first),
            b.name: significant(d.second),
            "difference": interval(d.difference, 4),
            "": "*" if d.separable else "",
        }
        for d in found
    ]
    sys.stdout.write(f"first:  {a.path}\nsecond: {b.path}\n\n")
    sys.stdout.write(tabular(rows) + "\n")
    sys.stdout.write(
        f"\n95 % intervals over images, for these weights (none below {FEWEST_IDS} samples): the "
        f"first {sum(d.headline for d in found)} hold simultaneously, and so do the other "
        f"{sum(not d.headline for d in found)}; *: told apart within its family\n"
    )
    target = plot or results / f"compare-{a.name}-{b.name}.svg"
    content = svg(overlay(a, b), f"{file_sha256(a.path)}-{file_sha256(b.path)}")
    with atomic(target) as temporary:
        temporary.write_bytes(content)
    sys.stdout.write(f"\nplot: {target}\n")
