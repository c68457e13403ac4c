"""Train one cell and keep its net at the checkpoints."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from bench.entries.model import Recipe
from bench.entries.study import Cell
from bench.models.checkpoint import read_checkpoint, write_checkpoint
from bench.studies.defences import DEFENCES
from bench.studies.images import Data
from bench.studies.nets import described
from bench.training.curves import EpochRow
from bench.training.job import Job
from bench.training.loop import Diverged, Reporter, initial_net, scaled, train

FEW = 100
"""Test images whose logits must be finite for a net to be kept."""


class Keeper(Reporter):
    """Keeps the net at the checkpoints, and tells how far the training is.

    Args:
        job: what is trained.
        checkpoints: epochs after which the net is kept.
        through: told how many steps are done, and of how many.
    """

    def __init__(
        self, job: Job, checkpoints: tuple[int, ...], through: Callable[[int, int], None]
    ) -> None:
        self._job, self._checkpoints, self._through = job, checkpoints, through
        self._done, self._all = 0, 1

    def start(self, done: int, epochs: int, steps: int) -> None:
        """Note where the training begins."""
        self._done, self._all = done * steps, max(1, epochs * steps)

    def step(self) -> None:
        """Tell of one more step."""
        self._done += 1
        self._through(self._done, self._all)

    def net(self, epoch: int, net: nn.Module) -> None:
        """Keep it, if it is wanted.

        Raises:
            Diverged: its logits are not finite: its last steps went where no loss was taken any
                more.
        """
        if epoch in self._checkpoints:
            self._must_be_finite(epoch, net)
            write_checkpoint(kept_path(self._job, epoch), net.state_dict(), {"epoch": epoch})

    @torch.no_grad()
    def _must_be_finite(self, epoch: int, net: nn.Module) -> None:
        images = scaled(self._job.test.planes(FEW)).to(self._job.device)
        if not bool(net(images).isfinite().all()):
            rate = self._job.recipe.learning_rate
            raise Diverged(
                f"expected a finite loss, got logits that are not, after epoch {epoch} of "
                f"{self._job.model}; lower the rate (it is {rate:g})",
                epoch,
            )


def kept_path(job: Job, epoch: int) -> Path:
    """Return where the net as it was after an epoch lies until its cell is done."""
    return job.beside(f".e{epoch}.safetensors")


def job_of(cell: Cell, data: Data, folder: Path, device: str) -> Job:
    """Return the training run of a cell; its files go to a folder."""
    factors = cell.factors
    net, builder = described(factors)
    recipe = Recipe(
        learning_rate=factors.learning_rate,
        batch_size=factors.batch_size,
        epochs=max(1, cell.epochs),
    )
    return Job(
        model=cell.name,
        net=net,
        recipe=recipe,
        dataset=factors.dataset if factors.data != "planted" else factors.data,
        classes=data.classes,
        train=data.train,
        test=data.test,
        path=folder / f"{cell.name}.safetensors",
        seed=cell.seed,
        builder=builder,
        inputs=DEFENCES[factors.defence],
        device=device,
        through_map=True,
    )


def trained(
    job: Job, checkpoints: tuple[int, ...], through: Callable[[int, int], None]
) -> Diverged | None:
    """Train a cell, or go on with it, until all its checkpoints are kept; epoch 0 needs nothing.

    Returns:
        What stopped the training, if the loss became infinite or NaN.
    """
    if checkpoints == (0,):
        Keeper(job, checkpoints, through).net(0, initial_net(job))
        return None
    try:
        train(job, reporter=Keeper(job, checkpoints, through))
    except Diverged as error:
        return error
    return None


def curve(job: Job) -> list[EpochRow]:
    """Return the log of a training run that has ended."""
    if not job.beside(".csv").exists():
        return []
    with job.beside(".csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        EpochRow(int(row["epoch"]), *(float(row[key]) for key in list(row) if key != "epoch"))
        for row in rows
    ]


def net_at(job: Job, epoch: int) -> tuple[nn.Module, str]:
    """Return the net as it was after an epoch, frozen, in eval mode, and its weights' SHA-256."""
    found = read_checkpoint(kept_path(job, epoch))
    net = initial_net(job)
    net.load_state_dict(found.tensors, strict=True)
    net.to(torch.device(job.device)).eval().requires_grad_(False)
    return net, found.sha256
