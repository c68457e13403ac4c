"""`bench study`: controlled studies, planned before their own cells are measured."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.engine_options import Address, EngineName, EngineOption, GpusPerTask, Partition
from bench.cli.study_report import report
from bench.errors import BenchError

app = typer.Typer(
    no_args_is_help=True,
    help="Controlled studies: `bench study plan NAME`, `run NAME`, `report`.",
)

Name = Annotated[str, typer.Argument(help="A study of the registry, or its TOML file.")]
Cells = Annotated[
    list[str] | None,
    typer.Option(
        "--cells", metavar="PATTERN", help="Only the blocks of these cells ('local-conv*seed0')."
    ),
]
Groups = Annotated[
    list[str] | None, typer.Option("--group", metavar="NAME", help="Only these groups.")
]
Output = Annotated[
    Path, typer.Option("--output", "-o", help="Folder of blocks, and of unfinished work.")
]
Written = Annotated[
    Path, typer.Option("--output", "-o", help="Folder that `bench study run` wrote to.")
]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Local copy of the data set, as for bench train.")
]


@app.callback()
def study() -> None:
    """Nets under chosen factors and seeds, measured along training, held to written claims."""


@app.command("plan")
def plan(
    name: Name,
    cells: Cells = None,
    group: Groups = None,
    output: Output = Path("results/studies"),
    every: Annotated[bool, typer.Option("--list", help="A line for each cell.")] = False,
    time: Annotated[
        bool, typer.Option("--time/--no-time", help="Time kinds of cells that nobody has run yet.")
    ] = True,
    budget: Annotated[
        float, typer.Option("--budget", metavar="SECONDS", help="Of timing; then the rest is ?.")
    ] = 60.0,
) -> None:
    """Show a study: its groups, how many cells are there, and the hours that the rest takes.

    Hours are those of one process. They come from the finished cells of the same kind; where there
    are none, from some timed steps on this machine (marked ~), for about a minute in all; what is
    not timed by then is unknown, and the hours are more than those shown (marked >).
    """
    from bench.api.studies import study_plan
    from bench.cli.study_progress import timing
    from bench.cli.study_text import plan_lines
    from bench.entries import registry

    registry.study(name)  # a misspelt one is told without torch

    if not budget >= 0:
        raise BenchError(f"expected --budget of at least 0 seconds, got {budget:g}")
    found = study_plan(
        name,
        cells=cells or (),
        groups=group or (),
        output=output,
        time=time,
        budget=budget,
        tell=timing(budget),
    )
    sys.stdout.write("\n".join(plan_lines(found, every)) + "\n")


@app.command("compare")
def compare(
    name: Name,
    output: Written = Path("results/studies"),
    submissions: Annotated[
        Path, typer.Option("--submissions", help="Folder of studies to compare with.")
    ] = Path("submissions/studies"),
) -> None:
    """Say whether cells that were run again (`bench study run --again`) have the same numbers.

    Columns: how many rows are not the same bits (another machine, torch or number of threads
    changes the last digits), and the largest differences over the checkpoints of the mean RFC, of
    the mean norm (a share), of the test accuracy (points) and of the training loss. A cell agrees
    if its mean RFC differs by at most a twentieth of the study's smallest effect of interest, its
    norm by 1 % and its accuracy by half a point. Exit code 2 if one does not.
    """
    from bench.api.studies import study_compare
    from bench.cli.study_text import agreement_lines
    from bench.entries import registry

    registry.study(name)  # a misspelt one is told without torch

    found = study_compare(name, output=output, submissions=submissions)
    sys.stdout.write("\n".join(agreement_lines(found)) + "\n")
    apart = found.loc[~found["agrees"], "cell"].tolist()
    if apart:
        raise BenchError(
            f"expected {len(found)} cells with the numbers of {submissions}, found {len(apart)} "
            f"with others: {', '.join(apart[:3])}{', ...' * (len(apart) > 3)}; see whether the "
            "code or the data have changed"
        )


@app.command("submit")
def submit(
    name: Name,
    output: Written = Path("results/studies"),
    submissions: Annotated[
        Path, typer.Option("--submissions", help="Folder of submissions.")
    ] = Path("submissions"),
) -> None:
    """Check finished blocks and copy them to submissions/studies/NAME/, to be committed."""
    from bench.api.studies import study_submit

    copied = study_submit(name, output=output, submissions=submissions)
    sys.stdout.write(
        f"{len(copied)} blocks copied to {submissions / 'studies'}; those that are there already "
        "are kept, whatever their numbers (see `bench study compare`)\n"
    )


@app.command("run")
def run(
    name: Name,
    cells: Cells = None,
    group: Groups = None,
    engine: EngineName = "local",
    workers: Annotated[int, typer.Option("--workers", help="Processes that share the blocks.")] = 1,
    address: Address = None,
    gpus_per_task: GpusPerTask = None,
    partition: Partition = None,
    engine_option: EngineOption = None,
    output: Output = Path("results/studies"),
    data_dir: DataDir = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit", help="First images of either split: a trial, with its own --output."
        ),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="cpu or cuda.")] = "cpu",
    offline: Annotated[bool, typer.Option("--offline", help="Never ask the network.")] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Also what submissions/studies/ has, to compare.")
    ] = False,
) -> None:
    """Train and measure the cells that are missing; what is there is skipped.

    One Parquet file a finished block goes to OUTPUT/NAME/. The same command, given again, goes on
    where it was; given twice at once, here or on a machine that shares the folder, both take a
    part. Blocks of submissions/studies/ count as done.
    """
    from bench.cli.study_progress import Lines

    for option, value in (("--workers", workers), ("--limit", limit)):
        if value is not None and value < 1:
            raise BenchError(f"expected {option} of at least 1, got {value}")
    from bench.api.studies import study_run

    done = study_run(
        name,
        cells=cells or (),
        groups=group or (),
        workers=workers,
        output=output,
        again=again,
        data_dir=data_dir,
        limit=limit,
        device=device,
        offline=offline,
        progress=Lines(),
        engine=engine,
        address=address,
        gpus_per_task=gpus_per_task,
        partition=partition,
        engine_options=tuple(engine_option or ()),
    )
    sys.stdout.write(f"{done} blocks finished by this process; all that were asked for are there\n")


app.command("report")(report)
