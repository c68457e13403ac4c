"""The pace of a run: batch, model step and threads, which round results a little differently.

The first process of a run chooses them and notes them beside the blocks; all others, and a restart,
take what is noted. The model step comes from a clock, so it is also remembered in the user's cache
for a run that starts anew on the same machine.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch

from bench.errors import BenchError
from bench.files import atomic
from bench.measure.job import Job
from bench.run.batch_size import automatic_batch
from bench.run.machine import threads_for
from bench.steps.calibrate import StepChoice, calibrate, equal_pass, prepare
from bench.steps.step import GradientStep

Tell = Callable[[str], None]
"""Is told, in words, what is being done."""


def silent(text: str) -> None:
    """Say nothing."""


FIELDS = fields(StepChoice)
WORTHWHILE = 500
"""Model steps from which a run is worth a calibration, which costs some 40 of them at least."""


def cache_dir() -> Path:
    """Return the user's cache folder: BENCH_CACHE, else frequency-bench in XDG's cache."""
    if "BENCH_CACHE" in os.environ:
        return Path(os.environ["BENCH_CACHE"])
    base = os.environ.get("XDG_CACHE_HOME")
    if base:
        return Path(base) / "frequency-bench"
    try:
        return Path.home() / ".cache" / "frequency-bench"
    except RuntimeError:  # no HOME, and a user id that no account has
        return Path(tempfile.gettempdir()) / f"frequency-bench-{os.getuid()}"


@dataclass(frozen=True)
class Pace:
    """How a run goes.

    Attributes:
        batch_size: samples attacked together.
        step: the model step, None where no attack takes any.
        threads: of torch, in each process.
    """

    batch_size: int
    step: StepChoice | None
    threads: int

    def describe(self) -> dict[str, Any]:
        """Return it for notes and metadata, JSON-ready."""
        known: dict[str, Any] = {"batch_size": self.batch_size}
        if self.step is not None:
            known["step"] = self.step.describe()
        return known


def pace_of(
    job: Job,
    ids: tuple[int, ...],
    weights_sha256: str,
    wanted: int | None,
    noted: Any,
    tell: Tell = silent,
) -> Pace:
    """Return the pace of a run.

    Args:
        job: model and data.
        ids: of the samples.
        weights_sha256: identifies the model.
        wanted: the batch size that was asked for; None: any.
        noted: "pace" of an unfinished run's note; what can't be understood there is chosen anew.
        tell: is told how far a calibration is.
    """
    before = noted if isinstance(noted, Mapping) else {}
    size = wanted or _count(before.get("batch_size"))
    size = size or automatic_batch(job.model, job.load(ids[:1]))
    step = None
    if job.attacks:
        known = before.get("step")
        step = choose(replace(job, batch_size=size), ids, weights_sha256, known, tell)
    return Pace(size, step, _count(before.get("threads")) or torch.get_num_threads())


def paced(job: Job, pace: Pace, ids: tuple[int, ...]) -> Job:
    """Return a job at a pace."""
    if pace.step is None:
        return replace(job, batch_size=pace.batch_size)
    return replace(job, batch_size=pace.batch_size, step=step_of(job, pace.step, ids))


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def choose(
    job: Job,
    ids: tuple[int, ...],
    weights_sha256: str,
    kept: Any = None,
    tell: Tell = silent,
) -> StepChoice:
    """Return how the job's model is to take its steps.

    Args:
        job: model and data.
        ids: ids to be measured; the first batch of them is the probe.
        weights_sha256: identifies the model.
        kept: the description of an unfinished run's choice, if there is one.
        tell: is told how far it is.
    """
    known = _restored(kept)
    if known is not None:
        return known
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
        passes = _steps(replace(job, batch_size=size), len(ids))
        choice = calibrate(job.model, images, job.labels(some), planned=passes, tell=tell)
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
        return _restored(json.loads(path.read_text()))
    except (OSError, ValueError):
        return None


def _restored(described: object) -> StepChoice | None:
    """Return a choice that was described; None for what this version does not understand."""
    if not isinstance(described, Mapping):
        return None
    kinds = {f.name: (bool,) if isinstance(f.default, bool) else (int, type(None)) for f in FIELDS}
    same = described.keys() == kinds.keys()
    if not same or not all(isinstance(described[k], kind) for k, kind in kinds.items()):
        return None
    return StepChoice(**described)
