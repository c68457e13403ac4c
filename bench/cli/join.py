"""`bench join`: public numbers beside the board's."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.errors import BenchError


def join(
    tables: Annotated[
        list[Path],
        typer.Argument(help="CSV files with a column of model names, such as timm's results."),
    ],
    metric: Annotated[str, typer.Option(help="Column of the board to correlate.")] = "rfc",
    attack: Annotated[
        str | None, typer.Option("--attack", "-a", help="Default: the protocol's primary one.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", "-d", help="Default: each with a match.")
    ] = None,
    protocol: Annotated[str | None, typer.Option(help="Default: each with a match.")] = None,
    key: Annotated[str, typer.Option(help="Column of model names.")] = "model",
    column: Annotated[
        list[str] | None, typer.Option(help="Only this column of the tables. Repeatable.")
    ] = None,
    carry: Annotated[
        bool,
        typer.Option(
            "--carry/--no-carry",
            help="Let the intervals carry each model's own uncertainty over samples as well.",
        ),
    ] = True,
    submissions: Annotated[
        Path, typer.Option(help="Folder of <protocol>/<dataset>/<model>.parquet.")
    ] = Path("submissions"),
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            help="A file .csv for the joined table (default: results/join.csv), or .md for the "
            "report (default: printed). Repeatable.",
        ),
    ] = None,
    csv: Annotated[Path | None, typer.Option("--csv", hidden=True)] = None,
) -> None:
    """Join public numbers to the board's by model name; rank correlations with intervals.

    A timm model is found by its full `arch.tag`, else by its entry's name, else by the bare
    architecture if nothing else could be meant. Only models of one data set, protocol hash and
    input size are put together, and only ranked ones are correlated.

    Example:

        bench join results-imagenet-a.csv results-imagenet-r.csv --column top1
    """
    from bench.board.join.call import join_files
    from bench.board.join.report import csv_text, markdown_text
    from bench.files import write_bytes

    reports = [path for path in output or [] if path.suffix == ".md"]
    tables_out = [path for path in output or [] if path.suffix == ".csv"]
    other = next((path for path in output or [] if path.suffix not in (".md", ".csv")), None)
    if other is not None:
        raise BenchError(f"expected a file .csv or .md for --output, got {other}")
    tables_out = tables_out or [csv or Path("results/join.csv")]
    parts = join_files(
        tables,
        metric=metric,
        attack=attack,
        dataset=dataset,
        protocol=protocol,
        key=key,
        columns=column or (),
        carry=carry,
        submissions=submissions,
    )
    text = markdown_text(parts)
    if not reports:
        sys.stdout.write(text)
    for path in reports:
        write_bytes(path, text.encode())
    for path in tables_out:
        write_bytes(path, csv_text(parts).encode())
    for path in (*reports, *tables_out):
        sys.stdout.write(f"Written: {path}\n")
