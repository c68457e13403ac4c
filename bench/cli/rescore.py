"""`bench rescore`: metrics from stored perturbations."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.errors import unknown_name


def rescore(
    model: Annotated[
        list[str],
        typer.Option(
            "--model",
            "-m",
            help="As in the results: <model>[@random][@seedN]; or a pattern. Repeatable.",
        ),
    ],
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", "-d", help="Default: the entry's. Narrows a pattern."),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="Replace this metric. Repeatable; default: fill what the file lacks, because the "
            "metric, or its definition, came later."
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Replace all metrics.")] = False,
    protocol: Annotated[
        str | None,
        typer.Option(help="See `bench list protocols`. Default: the one that ranks (minimal2026)."),
    ] = None,
    data: Annotated[str | None, typer.Option(help="hub, embedded or samples.")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Local copy of the data set in its usual format.")
    ] = None,
    output: Annotated[str, typer.Option("--output", "-o", help="Folder of results.")] = "results",
    offline: Annotated[bool, typer.Option("--offline", help="Never ask the network.")] = False,
) -> None:
    """Measure metrics from stored perturbations (`bench eval --save-perturbations`), no attack.

    All metrics are measured; those that the file has are compared with it, and nothing is written
    if they are not the same within their tolerances. It needs the images, but neither weights nor
    model: `grad_rfc`, which is the model's, stays as it is.

    Examples:

        bench rescore -m fashionmnist-local-conv-relu

        bench rescore -m 'fashionmnist-*' --metric entropy
    """
    from bench.board.tabular import tabular
    from bench.metrics import METRICS
    from bench.run.asked import check_asked, entry_names
    from bench.run.request import Request

    request = Request.of(
        dataset=dataset, protocol=protocol, data=data, data_dir=data_dir, output=output,
        offline=offline,
    )  # fmt: skip
    names = entry_names(model, dataset)
    known = [found.name for found in METRICS]
    for name in metric or ():
        if name not in known:
            raise unknown_name("metric", name, known)
    check_asked(request, named=False)
    from bench.run.rescore import rescore as measure  # torch, once the words make sense

    for name in names:
        changes = measure(request.but(model=name), metric or (), everything)
        lines = [
            {
                "attack": c.attack,
                "metric": c.metric,
                "rows": str(c.n),
                "filled": str(c.filled) if c.written else "",
                "largest difference": "" if c.largest != c.largest else f"{c.largest:.2g}",
                "": "written" if c.written else "compared",
            }
            for c in changes
        ]
        sys.stdout.write(f"\n{name}\n\n{tabular(lines)}\n")
        if not any(c.written for c in changes):
            sys.stdout.write("\nThe file lacks none of them; --metric or --all replaces.\n")
