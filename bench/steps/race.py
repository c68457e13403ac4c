"""Which of some model steps is the fastest on this machine: they take turns against the clock."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from statistics import median
from typing import TypeVar

import torch
from torch import Tensor

from bench.steps.step import GradientStep, margin_cotangent

SECONDS, MOST_ROUNDS = 0.5, 30
"""Short steps are timed for this long each, up to so many times, for busy machines are noisy."""

Timer = Callable[[GradientStep, Tensor, Tensor], float]
"""Takes one step with images and labels and returns its seconds."""
K = TypeVar("K", bound=Hashable)


def seconds_of(step: GradientStep, images: Tensor, labels: Tensor) -> float:
    """Take one step and return how long it took, by the clock."""
    _wait(images)
    start = time.perf_counter()
    step(images, labels, margin_cotangent)
    _wait(images)
    return time.perf_counter() - start


def _wait(images: Tensor) -> None:
    if images.is_cuda:
        torch.cuda.synchronize(images.device)


def race(
    makers: Mapping[K, Callable[[], GradientStep]],
    images: Tensor,
    labels: Tensor,
    *,
    rounds: int,
    gain: float,
    timer: Timer,
    left: Callable[[], float] = lambda: math.inf,
) -> K:
    """Time some steps in turns and return the fastest; one that fails takes none.

    Args:
        makers: name -> makes the step; the first one stays unless it is clearly beaten.
        images: (B, C, H, W), a batch.
        labels: (B,).
        rounds: least number of turns.
        gain: share of the first's time that another must save.
        timer: says how long a step takes.
        left: seconds that more turns than `rounds` may take.

    Raises:
        Exception: whatever the first step raises.
    """
    steps: dict[K, GradientStep] = {}
    for name, make in makers.items():
        try:
            step = make()
            timer(step, images, labels)  # warm-up
        except Exception:
            if not steps:  # without the first there is nothing to fall back on
                raise
            continue
        steps[name] = step
    times: dict[K, list[float]] = {name: [] for name in steps}
    first = times[next(iter(times))]
    spent = 0.0

    def more() -> bool:
        return len(first) < MOST_ROUNDS and spent < SECONDS * len(steps) and left() > 0

    while len(first) < rounds or more():
        for name, step in steps.items():
            times[name].append(timer(step, images, labels))
            spent += times[name][-1]
    return fastest(times, gain)


def fastest(times: Mapping[K, Sequence[float]], gain: float) -> K:
    """Return which saves most time as a rule; the first unless it is clearly beaten.

    What counts is how much less time than the first each took in the same turn, in the median: a
    machine that slows down for a while slows all of them.

    Args:
        times: name -> seconds by turn; the turns are the same.
        gain: share of the first's time that must be saved.
    """
    first = next(iter(times.values()))
    more = {
        name: median(one - other for one, other in zip(taken, first, strict=True))
        for name, taken in times.items()
    }
    best = min(more, key=more.__getitem__)
    return best if more[best] < -gain * median(first) else next(iter(times))
