"""The options that say who does the work, the same for all long verbs."""

from __future__ import annotations

from typing import Annotated

import typer

EngineName = Annotated[
    str, typer.Option(help="local, ray or slurm: who runs the workers (extras ray, slurm).")
]
Address = Annotated[
    str | None, typer.Option(help="Of a Ray cluster. Default: Ray on this machine.")
]
GpusPerTask = Annotated[
    float | None, typer.Option(help="GPUs of a worker; 0.5: two share one (Ray).")
]
Partition = Annotated[str | None, typer.Option(help="Of SLURM.")]
EngineOption = Annotated[
    list[str] | None, typer.Option(help="KEY=VALUE for the engine, as time=60 (SLURM). Repeatable.")
]
