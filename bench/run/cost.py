"""What a run will cost, found by timing a few steps of each attack on the real model.

Nothing is written. Times are upper bounds for minimal attacks, whose samples leave when they have
converged.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch

from bench.attacks.run import attack_batch
from bench.run.batch_size import peak_memory
from bench.run.request import Request
from bench.run.run import Run, open_run
from bench.spectrum import spectral_metrics

FEW, MORE = 2, 10
"""Steps of the two timed runs; their difference is free of what an attack does once."""


@dataclass(frozen=True)
class AttackCost:
    """The cost of one attack."""

    attack: str
    samples: int
    """Samples that are not finished yet."""
    attacked: int
    """Those of them that will be attacked, if accuracy is as in the first batch."""
    steps: int
    passes: int
    """Forward and backward passes of single images."""
    seconds_per_step: float
    """One step of one full batch."""
    seconds: float
    """The whole attack."""
    rfc_half_width: float
    """Half of the expected 95 % interval of the mean RFC; NaN if nothing was fooled in time."""


@dataclass(frozen=True)
class Cost:
    """The cost of a run."""

    model: str
    accuracy: float
    """Of the first batch, in [0, 1]."""
    batch_size: int
    memory_bytes: int
    """Peak so far: resident memory of the process, or allocated memory of the GPU."""
    attacks: tuple[AttackCost, ...]
    downloads: tuple[str, ...]
    """What comes from a hub; it is in the local cache by now."""

    @property
    def seconds(self) -> float:
        """All attacks together."""
        return sum(cost.seconds for cost in self.attacks)


def cost_of(request: Request) -> Cost:
    """Return the cost of a request.

    Raises:
        BenchError: the request can't be met.
    """
    planned = open_run(request)
    job = planned.job
    ids = planned.sample_ids[: job.batch_size]
    images, labels = job.load(ids), job.labels(ids)
    right = (job.logits(images).argmax(1) == labels).nonzero()[:, 0]
    accuracy = len(right) / len(ids)
    costs = tuple(_attack_cost(planned, attack, accuracy, right) for attack in planned.attacks)
    origins = (planned.loaded.weights.where, job.images.source)
    return Cost(
        model=planned.metadata["model"],
        accuracy=accuracy,
        batch_size=job.batch_size,
        memory_bytes=peak_memory(job.device),
        attacks=costs,
        downloads=tuple(origin for origin in origins if origin.startswith("hub")),
    )


def _attack_cost(planned: Run, attack: str, accuracy: float, right: torch.Tensor) -> AttackCost:
    spec = planned.job.attacks[attack]
    missing = sum(len(unit.ids) for unit in planned.missing() if unit.attack == attack)
    attacked = round(missing * accuracy)
    seconds, spread = (math.nan, math.nan) if len(right) == 0 else _timed(planned, attack, right)
    # a step costs about the same per sample, whatever the batch is filled with
    whole = seconds * spec.passes * attacked / max(len(right), 1)
    return AttackCost(
        attack=attack,
        samples=missing,
        attacked=attacked,
        steps=spec.passes,
        passes=attacked * spec.passes,
        seconds_per_step=seconds,
        seconds=0.0 if attacked == 0 else whole,
        rfc_half_width=1.96 * spread / math.sqrt(max(attacked, 1)),
    )


def _timed(planned: Run, attack: str, right: torch.Tensor) -> tuple[float, float]:
    """Return the seconds of a step on the first batch, and the spread of RFC after a few steps."""
    job = planned.job
    ids = [planned.sample_ids[int(i)] for i in right]
    images, labels = job.load(ids), job.labels(ids)
    starts, ok = None, None
    if job.attacks[attack].needs_starts:
        starts, ok = job.starts.starts(attack, ids, labels.tolist(), images)
    times, settings = [], job.attacks[attack]
    whole = settings.shortened(FEW) == settings
    for steps in (FEW,) if whole else (FEW, FEW, MORE):
        spec = settings.shortened(steps)
        begin = time.perf_counter()
        outcome = attack_batch(job.model, spec, images, labels, starts, ok, job.step)
        if job.device.type == "cuda":
            torch.cuda.synchronize(job.device)
        times.append(time.perf_counter() - begin)
    fooled = outcome.adv_pred != labels
    rfc = spectral_metrics((outcome.adversarial - images)[fooled])["rfc"] if fooled.any() else None
    spread = math.nan if rfc is None or len(rfc) < 2 else float(rfc.std())
    if whole:  # it knows no steps: its own estimate of the passes is what the time is divided by
        return times[0] / settings.passes, spread
    return max(times[2] - times[1], 0.0) / (MORE - FEW), spread
