"""Arrays of SLURM jobs that call functions. The one home of submitit (extra `slurm`).

What a job returned is read from submitit's files, its state from `squeue`, which every cluster has
(submitit asks the accounting, which many have not).
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.run.engines.choice import Engine

MINUTES = 60
"""Of a job, unless `--engine-option time=...` says otherwise; it is requeued when they are over."""
REQUEUES = 10_000
"""Times that a job may be requeued: as often as it takes."""


@dataclass(frozen=True)
class Outcome:
    """What came of a job.

    Attributes:
        value: what its function returned.
        reason: why there is no value; None: there is one.
    """

    value: Any = None
    reason: str | None = None


class Jobs:
    """Jobs of one submission, or several.

    Args:
        engine: partition, GPUs a task, options of `sbatch` as `KEY=VALUE`.
        folder: for logs and what is passed to jobs; every node must see it.
        threads: CPUs of a task.
        name: of the jobs.

    Raises:
        BenchError: there is no submitit, or no SLURM.
    """

    def __init__(self, engine: Engine, folder: Path, threads: int, name: str) -> None:
        submitit = _submitit()
        if shutil.which("sbatch") is None or shutil.which("squeue") is None:
            raise BenchError(
                "expected SLURM's sbatch and squeue for --engine slurm, found none; run it on a "
                "machine from which jobs are submitted"
            )
        self.folder = folder.absolute()
        self._executor = submitit.SlurmExecutor(self.folder, max_num_timeout=REQUEUES)
        self._executor.update_parameters(**parameters(engine, threads, name))
        self._jobs: dict[int, Any] = {}

    def submit(self, functions: Sequence[Callable[[], Any]], at: Sequence[int]) -> None:
        """Submit an array of jobs.

        Args:
            functions: what each job calls; they travel as pickles.
            at: number of each job, by which it is asked for.

        Raises:
            BenchError: SLURM refuses.
        """
        try:
            jobs = self._executor.map_array(_call, list(functions))
        except Exception as error:  # submitit raises its own for what sbatch says
            lines = [line for line in str(error).splitlines() if line.strip()]
            said = next((line for line in lines if "error:" in line), lines[-1] if lines else "")
            raise BenchError(f"expected SLURM to take the jobs, got {said!r}") from error
        self._jobs.update(zip(at, jobs, strict=True))

    def states(self) -> dict[int, str]:
        """Return the state of each job that is in SLURM's queue, such as PENDING or RUNNING.

        Raises:
            BenchError: squeue does not answer; a moment later it may.
        """
        heads = sorted({job.job_id.partition("_")[0] for job in self._jobs.values()})
        found: dict[str, str] = {}
        for head in heads:
            command = ["squeue", "--noheader", "--array", f"--jobs={head}", "--format=%i %T"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode and "Invalid job id" not in done.stderr:
                raise BenchError(f"expected squeue to answer, got {done.stderr.strip()!r}")
            found |= dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if line)
        at = {job.job_id: number for number, job in self._jobs.items()}
        ended = ("COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY")
        return {at[key]: state for key, state in found.items() if key in at and state not in ended}

    def outcome(self, number: int) -> Outcome | None:
        """Return what came of a job, as far as it has said so; None: nothing yet."""
        job = self._jobs[number]
        if not job.paths.result_pickle.exists():
            return None
        kind, value = job._get_outcome_and_result()
        if kind == "success":
            return Outcome(value)
        lines = [line for line in str(value).splitlines() if line.strip()]
        return Outcome(reason=lines[-1] if lines else "an error")

    def log(self, number: int) -> str:
        """Return where a job's log is."""
        return str(self._jobs[number].paths.stderr)

    def cancel(self) -> None:
        """End all jobs."""
        for head in {job.job_id.partition("_")[0] for job in self._jobs.values()}:
            with contextlib.suppress(OSError):
                subprocess.run(["scancel", head], capture_output=True, check=False)


def parameters(engine: Engine, threads: int, name: str) -> dict[str, Any]:
    """Return what submitit is told of the jobs.

    Args:
        engine: partition, GPUs a task, and options of `sbatch`, which count most.
        threads: CPUs of a task.
        name: of the jobs.
    """
    options = engine.settings()
    found: dict[str, Any] = {
        "job_name": name,
        "time": minutes(options.pop("time", str(MINUTES))),
        "cpus_per_task": threads,
        "ntasks_per_node": 1,
        "signal_delay_s": 30,
    }
    if engine.partition is not None:
        found["partition"] = engine.partition
    if engine.gpus_per_task:
        found["gpus_per_task"] = int(engine.gpus_per_task)
    more: dict[str, Any] = {"requeue": True}  # what is pre-empted, or loses its node, comes back
    for key, value in options.items():
        more[key.replace("_", "-")] = True if value == "" else value
    found["additional_parameters"] = more
    return found


def minutes(text: str) -> int:
    """Return a time limit as SLURM spells it (M, M:S, H:M:S, D-H, D-H:M, D-H:M:S) in minutes."""
    days, dash, rest = text.rpartition("-")
    parts = rest.split(":")
    if not all(part.isdigit() for part in (*parts, *([days] if dash else []))) or len(parts) > 3:
        raise BenchError(f"expected a time limit such as 60 or 1-12:00:00, got time={text}")
    numbers = [int(part) for part in parts]
    if dash:
        hours, clock = numbers[0], [*numbers[1:], 0][0]
        return int(days) * 1440 + hours * 60 + clock
    if len(numbers) == 3:
        return numbers[0] * 60 + numbers[1]
    return max(1, numbers[0])


def delayed(function: Callable[[], Any]) -> Any:
    """Return a call as submitit keeps it for a requeued job."""
    return _submitit().helpers.DelayedSubmission(_call, function)


class _Call:
    """Calls a function; what submitit asks of it in a requeued job, it asks of the function."""

    def __call__(self, function: Callable[[], Any]) -> Any:
        return function()

    def checkpoint(self, function: Callable[[], Any]) -> Any:
        return delayed(function)


_call = _Call()


def _submitit() -> Any:
    try:
        import submitit
        import submitit.helpers
    except ImportError:
        raise BenchError(
            "expected submitit for --engine slurm, found none; install it: "
            "pip install 'frequency-bench[slurm]'"
        ) from None
    return submitit
