"""A pool of Ray's actors, on this machine or a cluster. The one home of Ray (extra `ray`)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

from bench.errors import BenchError
from bench.run.engines.choice import Engine
from bench.run.engines.pool import Answer, Kind


class RayPool:
    """Workers that are Ray's actors; fulfils `bench.run.engines.pool.Pool`.

    Ray is asked neither to restart an actor nor to try a call again: who hands out the work knows
    how often a unit has failed, and on which worker.

    Args:
        engine: address, workers, GPUs a worker, and options of an actor (`num_cpus`, `memory`,
            `resources` by name) as `KEY=VALUE`.
        kind: what each worker is.
        threads: of each; so many CPUs are reserved for it.

    Raises:
        BenchError: Ray is not installed, no cluster answers, or it can never give what is asked.
    """

    def __init__(self, engine: Engine, kind: Kind, threads: int) -> None:
        self._ray = _ray()
        self.count, self._kind = engine.workers, kind
        self._options = actor_options(engine, threads)
        self._connect(engine)
        try:
            there = self._ray.cluster_resources()
            if engine.gpus_per_task is None and there.get("GPU", 0) > 0:
                self._options["num_gpus"] = min(1.0, there["GPU"] / self.count)
            self._must_fit(there)
            self._actors = [self._start() for _ in range(self.count)]
        except BaseException:
            self.close()
            raise
        self._pending: dict[Any, int] = {}

    def _connect(self, engine: Engine) -> None:
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        if engine.address is None:
            cpus = max(os.cpu_count() or 1, round(engine.workers * self._options["num_cpus"]))
            quiet |= {"address": "local", "num_cpus": cpus, "include_dashboard": False}
        else:
            quiet["address"] = engine.address
        try:
            self._ray.init(**quiet)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise BenchError(
                f"expected Ray to start or to answer at --address {engine.address}, got "
                f"{reason!r}; see that the cluster runs the same versions of Ray and Python"
            ) from error

    def _must_fit(self, there: Mapping[str, float]) -> None:
        """Raise BenchError if all of Ray could never hold one worker."""
        for key, wanted in (("CPU", "num_cpus"), ("GPU", "num_gpus")):
            if self._options.get(wanted, 0) > there.get(key, 0):
                raise BenchError(
                    f"expected {self._options[wanted]:g} {key} for a worker, found "
                    f"{there.get(key, 0):g} in all of Ray; ask for less"
                )

    def _start(self) -> Any:
        maker, arguments = self._kind.maker, self._kind.arguments
        return self._ray.remote(maker).options(**self._options).remote(*arguments)

    def call(self, worker: int, method: str, *arguments: Any) -> None:
        """Let an idle worker call one of its methods."""
        self._pending[getattr(self._actors[worker], method).remote(*arguments)] = worker

    def answers(self, seconds: float) -> Sequence[Answer]:
        """Wait for answers."""
        if not self._pending:
            return []
        waiting = list(self._pending)
        done, _ = self._ray.wait(waiting, num_returns=1, timeout=seconds)
        return [self._answer(reference) for reference in done]

    def _answer(self, reference: Any) -> Answer:
        worker, errors = self._pending.pop(reference), self._ray.exceptions
        try:
            return Answer(worker, self._ray.get(reference))
        except errors.RayTaskError as error:
            return Answer(worker, error=error.cause or error)
        except errors.RayError as error:  # the actor, its machine or its answer is gone
            return Answer(worker, error=_short(error), died=True)

    def renew(self, worker: int) -> None:
        """Start another actor in a worker's place."""
        with contextlib.suppress(Exception):
            self._ray.kill(self._actors[worker])
        self._actors[worker] = self._start()

    def close(self) -> None:
        """End all actors, and Ray if it was started here."""
        for actor in getattr(self, "_actors", []):
            with contextlib.suppress(Exception):
                self._ray.kill(actor)
        self._actors = []
        self._ray.shutdown()


def actor_options(engine: Engine, threads: int) -> dict[str, Any]:
    """Return what Ray is asked for a worker.

    Args:
        engine: GPUs, and options as `KEY=VALUE`; a key that is none of Ray's names a resource.
        threads: of the worker.
    """
    options: dict[str, Any] = {
        "num_cpus": threads,
        "num_gpus": engine.gpus_per_task or 0,
        "max_restarts": 0,
        "max_task_retries": 0,
        "runtime_env": {"env_vars": {"OMP_NUM_THREADS": str(threads), **_paths(engine)}},
    }
    resources: dict[str, float] = {}
    for key, value in engine.settings().items():
        try:
            number = float(value)
        except ValueError:
            raise BenchError(
                f"expected a number for --engine-option {key} with Ray (num_cpus, memory, or the "
                f"name of a resource), got {value!r}"
            ) from None
        if key in ("num_cpus", "memory"):
            options[key] = number
        else:
            resources[key] = number
    if resources:
        options["resources"] = resources
    return options


def _paths(engine: Engine) -> Mapping[str, str]:
    """Return where workers on this machine find the package, if it is not installed."""
    if engine.address is not None:
        return {}
    import bench

    root = os.path.dirname(os.path.dirname(os.path.abspath(bench.__file__)))  # noqa: PTH120,PTH100
    return {"PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))}


def _short(error: BaseException) -> RuntimeError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return RuntimeError(f"{type(error).__name__}: {lines[0] if lines else ''}")


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    # only of a Ray that is started here: its workers would give way to everything else
    os.environ.setdefault("RAY_worker_niceness", "0")
    try:
        import ray
        import ray.exceptions
    except ImportError:
        raise BenchError(
            "expected Ray for --engine ray, found none; install it: "
            "pip install 'frequency-bench[ray]'"
        ) from None
    return ray
