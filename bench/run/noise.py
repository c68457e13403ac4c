"""How fast a model is here, without its weights and without images: on noise, randomly initialised.

The time of a pass depends on shapes, not on values; what an attack does beside its passes is not
in it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median

import torch

from bench.entries.model import ModelEntry
from bench.models.load import LoadedModel, load
from bench.run.batch_size import useful_batch
from bench.run.choose import choose_device
from bench.run.machine import keep_freed_memory, threads_for
from bench.steps.calibrate import LARGE, PASS
from bench.steps.race import seconds_of
from bench.steps.step import GradientStep

SECONDS = 4.0
"""Of timing, about, but for the first pass."""
ROUNDS, MOST_ROUNDS = 3, 30


@dataclass(frozen=True)
class Speed:
    """Seconds of a forward and backward pass of one image.

    Attributes:
        low: of the fastest pass.
        mid: the median.
        high: of the slowest.
        images: of a pass.
        passes: that were timed.
        how: on what, in words.
        got: share of the time that this process was computing, of one thread at least; far below
            1: the machine was busy with others.
    """

    low: float
    mid: float
    high: float
    images: int
    passes: int
    how: str
    got: float


def unweighted(entry: ModelEntry, weights: str, device: str, trust: bool) -> LoadedModel:
    """Return a model with random weights; one that a factory makes as it is asked for.

    Raises:
        BenchError: timm does not have it, or a factory without `trust`.
    """
    kind = weights if entry.source == "factory" else "random"
    where = choose_device(device)
    if where.type == "cpu":
        keep_freed_memory()
    return load(entry, kind, where, trust, offline=True)


def speed_of(loaded: LoadedModel, device: str, batch: int | None) -> Speed:
    """Time passes on noise, in batches as an evaluation has them or as many images as time allows.

    Args:
        loaded: the model.
        device: where it is.
        batch: images attacked together; None: as chosen automatically, if memory allows.
    """
    where, shape = choose_device(device), loaded.input_shape
    size = batch or useful_batch(shape, where.type)
    values = shape[0] * shape[1] * shape[2]
    if where.type == "cpu" and values >= LARGE:
        size = min(size, PASS)  # large images go through a CPU a few at a time
    step = GradientStep(loaded.module)
    with threads_for(size * values, where):
        _timed(step, loaded, where, 1)  # the first pass of all prepares much
        once = _timed(step, loaded, where, 1)
        size = max(1, min(size, int(SECONDS / ROUNDS / max(once, 1e-9))))
        _timed(step, loaded, where, size)
        times: list[float] = []
        begun, used = time.perf_counter(), time.process_time()
        while len(times) < ROUNDS or (sum(times) < SECONDS / 4 and len(times) < MOST_ROUNDS):
            times.append(_timed(step, loaded, where, size) / size)
            if sum(times) * size > SECONDS:
                break
    how = "on noise with random weights"
    wall = max(time.perf_counter() - begun, 1e-9)
    got = 1.0 if where.type == "cuda" else min(1.0, (time.process_time() - used) / wall)
    return Speed(min(times), median(times), max(times), size, len(times), how, got)


def _timed(step: GradientStep, loaded: LoadedModel, device: torch.device, size: int) -> float:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand((size, *loaded.input_shape), generator=generator).to(device)
    return seconds_of(step, images, torch.zeros(size, dtype=torch.int64, device=device))
