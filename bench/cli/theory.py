"""`bench theory`: the paper's theory, checked on one of its nets."""

from __future__ import annotations

import sys
from typing import Annotated

import typer


def theory(
    model: Annotated[
        list[str],
        typer.Option(
            "--model", "-m", help="One of the paper's nets, or a pattern ('fashionmnist-*')."
        ),
    ],
    weights: Annotated[
        str, typer.Option(help="default, or a checkpoint of `bench train`.")
    ] = "default",
    seed: Annotated[int, typer.Option(help="Of the untrained twin's weights.")] = 0,
    output: Annotated[str, typer.Option("--output", "-o", help="Folder of results.")] = "results",
) -> None:
    """Check the paper's theory on a net: each statement proved, measured or violated.

    Uncertainty constant and slack of every kernel, both forms of the product bound, beta of linear
    nets and its regulariser, R_BWC by kernel size; trained against untrained. It needs no images.
    Page (Markdown, HTML), figure and Parquet file: `<output>/probes/<dataset>/<model>.theory.*`.

    Examples:

        bench theory --model fashionmnist-local-conv

        bench theory -m fashionmnist-full-conv --weights results/checkpoints/mine.safetensors
    """
    from bench.results.filesystem import files_at
    from bench.run.asked import check_asked, entry_names
    from bench.run.request import Request

    asked = Request.of(weights=weights, seed=seed, output=output)
    names = entry_names(model, None)
    for name in names:
        check_asked(asked.but(model=name))
    from bench.theory.page import spread
    from bench.theory.report import plan, report, write  # torch, once the words make sense

    files = files_at(output)
    entries = [plan(name, weights) for name in names]
    files.prepare()
    for entry in entries:
        found = report(entry, weights, seed)
        sys.stdout.write(f"\n{entry.name}\n\n")
        for kind, lines in found.lines.items():
            for line in lines:
                share = "" if line.share != line.share else f", fails for {100 * line.share:.0f} %"
                sys.stdout.write(
                    f"{line.status:8}  {line.statement} [{line.scope}"
                    f"{'' if kind == 'none' else ', ' + kind}]: {line.quantity} {spread(line)} "
                    f"(n {line.n}{share})\n"
                )
        sys.stdout.write("".join(f"Written: {place}\n" for place in write(found, files)))
