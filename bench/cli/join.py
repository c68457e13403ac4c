"""`bench join`: public numbers beside the board's."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


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
    csv: Annotated[Path, typer.Option("--csv", help="Where the joined CSV goes.")] = Path(
        "results/join.csv"
    ),
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Markdown file; default: stdout.")
    ] = None,
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
    write_bytes(csv, csv_text(parts).encode())
    text = markdown_text(parts)
    if output is None:
        sys.stdout.write(text)
    else:
        write_bytes(output, text.encode())
        sys.stdout.write(f"written: {output}\n")
    sys.stdout.write(f"joined CSV: {csv}\n")
