"""`bench show`: one result at a glance."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.errors import BenchError


def show(
    result: Annotated[
        str, typer.Argument(metavar="NAME|FILE", help="A model's name, or a result file.")
    ],
    attack: Annotated[
        str | None,
        typer.Option("--attack", "-a", help="Whose perturbations; default: the primary one's."),
    ] = None,
    results: Annotated[
        Path, typer.Option(help="Folder of results, looked at first; partial ones too.")
    ] = Path("results"),
    submissions: Annotated[
        Path, typer.Option(help="Folder of submissions; its nets are drawn thin beside it.")
    ] = Path("submissions"),
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            help="A file (.png, .svg or .html: one page that needs nothing), or a folder for all "
            "three. Repeatable. Default: results/show/.",
        ),
    ] = None,
) -> None:
    """Show one model: numbers, radial profile, mean spectrum, distances and three examples.

    Prints the table and writes the picture as PNG, SVG and one self-contained page.

    Examples:

        bench show fashionmnist-local-conv-relu

        bench show results/partial/minimal2026/fashionmnist/mine.parquet -o mine.html
    """
    _check(output or [])
    from bench.show.picture import KINDS, picture
    from bench.show.source import from_file, locate
    from bench.show.text import legend, sentence, table, warnings_of

    found = from_file(locate(result, [results, submissions]))
    made = picture([found], attack, submissions)
    sys.stdout.write(
        f"{found.name} on {found.dataset.title}, {found.protocol.name}: {found.where}\n\n"
        f"{table(found)}\n\n{legend(found)}\n"
        + "".join(f"{line}\n" for line in warnings_of(found))
        + f"{sentence(found, made.attack)}\n"
    )
    place = results / "show" / found.protocol.name / found.dataset.name
    files = [
        file
        for target in output or [place]
        for file in (
            [target]
            if target.suffix in KINDS
            else [target / f"{found.name}{kind}" for kind in KINDS]
        )
    ]
    for file in dict.fromkeys(files):
        sys.stdout.write(f"Written: {made.save(file)}\n")


def _check(targets: list[Path]) -> None:
    """Judge the names of files before anything is read."""
    for target in targets:
        if target.suffix not in ("", ".png", ".svg", ".html") and not target.is_dir():
            raise BenchError(
                f"expected a file .png, .svg or .html, or a folder, for --output, got {target}"
            )
