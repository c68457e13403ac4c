"""A short timing of a cell on random images: some steps of its training, some samples attacked."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from bench.entries import registry
from bench.entries.factors import PLANTED_EPOCH
from bench.entries.study import Cell
from bench.errors import BenchError
from bench.studies import mnist
from bench.studies.images import Data
from bench.studies.measure import as_measured, measure
from bench.studies.train import job_of
from bench.training.job import Job, Split
from bench.training.loop import forward, initial_net, scaled

STEPS = 4
"""Training steps that are timed, after one that is not."""
SAMPLES = 12
"""Images that are attacked."""


def timed(cell: Cell) -> float:
    """Return about how many seconds a cell takes on this machine as it is now."""
    data, train_count = _random(cell)
    job = job_of(cell, data, Path(), "cpu")
    net = initial_net(job)
    training = _training(cell, job, net, data, train_count) if cell.epochs else 0.0
    begin = time.monotonic()
    few = cell.model_copy(update={"samples": SAMPLES, "end_samples": SAMPLES})
    frozen = net.eval().requires_grad_(False)
    measure(few, 0, as_measured(few, frozen, data.test), data.test, "cpu")
    one = (time.monotonic() - begin) / SAMPLES
    attacked = sum(cell.samples_at(epoch) for epoch in cell.checkpoints)
    return training + one * (attacked if cell.factors.relu else SAMPLES * len(cell.checkpoints))


def _training(cell: Cell, job: Job, net: torch.nn.Module, data: Data, train_count: int) -> float:
    """Return about how many seconds a cell's training takes; the net is trained by some steps."""
    logits = forward(net, job)
    images, labels = scaled(data.train.planes()), torch.as_tensor(data.train.labels)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9, fused=True)
    draws = torch.Generator().manual_seed(0)
    begin = 0.0
    for step in range(STEPS + 1):
        begin = time.monotonic() if step == 1 else begin
        inputs = images if job.inputs is None else job.inputs.change(net, images, labels, draws)
        loss = F.cross_entropy(logits(inputs), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    steps = cell.epochs * -(-train_count // cell.factors.batch_size)
    return (time.monotonic() - begin) / STEPS * steps


class Timer:
    """Times cells until some seconds are spent; one that is begun is finished.

    Args:
        budget: seconds in all, at least 0.
        tell: is told of each cell that is timed, and how many seconds are spent before it.
        one: about how many seconds a cell takes.
        clock: seconds, never going back.
    """

    def __init__(
        self,
        budget: float,
        tell: Callable[[str, float], None] | None = None,
        one: Callable[[Cell], float] = timed,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._budget, self._one, self._clock = budget, one, clock
        self._tell = tell or (lambda name, spent: None)
        self._begin = clock()

    def __call__(self, cell: Cell) -> float | None:
        """Return about how many seconds a cell takes; None: the budget is spent."""
        spent = self._clock() - self._begin
        if spent >= self._budget:
            return None
        self._tell(cell.name, spent)
        return self._one(cell)


def _random(cell: Cell) -> tuple[Data, int]:
    """Return random images of the cell's shape, a batch of them, and how many it is trained on."""
    factors = cell.factors
    if factors.data == "planted":
        side, channels, classes = factors.image_size or 28, factors.channels or 1, 4
        count = max(factors.train_count or 0, PLANTED_EPOCH)
    else:
        entry = registry.dataset(factors.dataset)
        side, channels, classes = entry.size, entry.channels, len(entry.classes)
        count = factors.train_count or entry.train_count
        count = mnist.TRAIN if factors.data == "mnist-5000" else count
    if count is None:
        raise BenchError(f"expected the number of training images, found none, for {cell.name!r}")
    draws = np.random.default_rng(0)
    shape = (factors.batch_size, side, side, *([channels] if channels > 1 else []))
    images = draws.integers(0, 256, shape, dtype=np.uint8)
    labels = draws.integers(0, classes, factors.batch_size)
    split = Split(images, labels.astype(np.int64), "random")
    return Data(split, split, classes), count
