"""The calibrated model step of a run, remembered so that a restart makes the same choice.

A choice comes from a clock, and another choice rounds differently. So it is kept beside the blocks
of an unfinished run, and in the user's cache for a run that starts anew on the same machine.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from pathlib import Path
from typing import Any

import torch

from bench.errors import BenchError
from bench.files import atomic
from bench.measure.job import Job
from bench.run.machine import threads_for
from bench.steps.calibrate import StepChoice, calibrate, equal_pass, prepare
from bench.steps.step import GradientStep

WORTHWHILE = 500
"""Model steps from which a run is worth a calibration, which costs some 40 of them at least."""


def cache_dir() -> Path:
    """Return the user's cache folder: BENCH_CACHE, else frequency-bench in XDG's cache."""
    if "BENCH_CACHE" in os.environ:
        return Path(os.environ["BENCH_CACHE"])
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "frequency-bench"


def choose(job: Job, ids: tuple[int, ...], weights_sha256: str, kept: Any = None) -> StepChoice:
    """Return how the job's model is to take its steps.

    Args:
        job: model and data.
        ids: ids to be measured; the first batch of them is the probe.
        weights_sha256: identifies the model.
        kept: the description of an unfinished run's choice, if there is one.
    """
    if kept is not None:
        return StepChoice(**kept)
    some = ids[: job.batch_size]
    if _steps(job, len(ids)) < WORTHWHILE:
        return StepChoice()
    images = job.load(some)
    size = equal_pass(images) or len(images)
    path = cache_dir() / "steps" / f"{_key(job, size, weights_sha256)}.json"
    found = _read(path)
    if found is not None:
        return found
    with threads_for(images.numel(), job.device):
        choice = calibrate(job.model, images, job.labels(some))
    try:
        with atomic(path) as temporary:
            temporary.write_text(json.dumps(choice.describe()))
    except BenchError:
        pass  # a cache that can't be written costs the next run a calibration
    return choice


def _steps(job: Job, samples: int) -> int:
    """Return how many model steps a run takes, about."""
    own = (settings.passes for settings in job.attacks.values() if settings.own)
    return sum(own) * math.ceil(samples / job.batch_size)


def step_of(job: Job, choice: StepChoice, ids: tuple[int, ...]) -> GradientStep:
    """Return the job's model step as chosen."""
    return prepare(job.model, choice, job.load(ids[:1]))


def _key(job: Job, batch: int, weights_sha256: str) -> str:
    device = job.device
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else os.uname().machine
    parts = [
        job.model_name,
        weights_sha256,
        batch,
        where,
        torch.backends.cpu.get_cpu_capability(),
        torch.get_num_threads(),
        torch.__version__,
        sorted(StepChoice().describe()),  # another version may know other choices
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _read(path: Path) -> StepChoice | None:
    try:
        return StepChoice(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None
