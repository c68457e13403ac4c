"""`bench train`: train nets by their recipes into checkpoints that `bench eval` finds."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.engine_options import Address, EngineName, EngineOption, GpusPerTask, Partition

if TYPE_CHECKING:
    from bench.training.job import Trained

Texts = list[str]


def train(
    model: Annotated[
        Texts,
        typer.Option(
            "--model", "-m", help="Name or pattern ('fashionmnist-*') of nets. Repeatable."
        ),
    ],
    data_dir: Annotated[
        Path | None, typer.Option(help="Local copy of the data set in its usual format.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="hub. Default: --data-dir if given, else the hub.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Default: the recipe's (40 in the paper's nets).")
    ] = None,
    lr: Annotated[
        float | None, typer.Option(help="Initial learning rate. Default: the recipe's.")
    ] = None,
    until_lr: Annotated[
        float | None,
        typer.Option(
            help="End once the rate is below this share of its start: 0.01 ends after 16 epochs."
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Of the initial weights and the order of the images.")
    ] = 0,
    limit: Annotated[
        int | None, typer.Option(help="First N images of either split, for a trial.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda[:i].")] = "auto",
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder; the files go to checkpoints/ in it.")
    ] = Path("results"),
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Default: reuse what is complete, resume what is not."),
    ] = False,
    engine: EngineName = "local",
    workers: Annotated[int, typer.Option("--workers", help="Nets that are trained at once.")] = 1,
    address: Address = None,
    gpus_per_task: GpusPerTask = None,
    partition: Partition = None,
    engine_option: EngineOption = None,
    offline: Annotated[bool, typer.Option("--offline", help="Never ask the network.")] = False,
) -> None:
    """Train nets of the paper: checkpoint (safetensors), log (CSV) and curves (PNG) of each.

    Examples:

        bench train --model fashionmnist-local-conv-relu --data-dir /data/fashion-mnist

        bench train --model 'fashionmnist-*' --data-dir /data/fashion-mnist --until-lr 0.01

        bench train --model 'cifar10-*' --engine slurm --workers 8 --gpus-per-task 1

    The state is on the disk after every epoch: killed anywhere, the same command goes on.
    """
    given = dict(locals())
    from bench.run.asked import check_spelt, entry_names

    check_spelt(entry_names(model, None))
    from bench.run.engines.choice import Engine

    options = {name: given[name] for name in OPTIONS}
    with_what = Engine(
        engine=engine,
        workers=workers,
        address=address,
        gpus_per_task=gpus_per_task,
        partition=partition,
        engine_options=tuple(engine_option or ()),
    )
    if engine == "local" and workers == 1:
        from bench.cli.train_progress import TrainBars
        from bench.training.train import train as train_nets

        with TrainBars() as bars:
            done = train_nets(model, reporter=bars, **options)
    else:
        from bench.cli.train_progress import Ended
        from bench.training.spread import train_in

        done = train_in(with_what, model, Ended(), **options)
    sys.stdout.write(_table(done))


OPTIONS = (
    *("data", "data_dir", "epochs", "lr", "until_lr", "seed", "limit", "device", "output"),
    *("overwrite", "offline"),
)
"""Those of `bench.train`."""


def _table(done: list[Trained]) -> str:
    """Return a line a model: epochs, accuracies beside the paper's, file."""
    from bench.board.tabular import tabular
    from bench.entries import registry

    rows = []
    for trained in done:
        meta = trained.meta
        paper = registry.model(meta["model"]).paper
        rows.append(
            {
                "model": meta["model"],
                "seed": meta["seed"],
                "epochs": meta["epochs"],
                "train n": meta["train_count"],
                "train %": f"{meta['train_accuracy']:.2f}",
                "test n": meta["test_count"],
                "test %": f"{meta['test_accuracy']:.2f}",
                "paper %": "-" if paper is None else f"{paper.top1:.1f}",
                "checkpoint": f"{trained.path}{' (was there)' if trained.reused else ''}",
            }
        )
    return tabular(rows) + "\n"
