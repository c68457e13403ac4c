"""Starts the pool of an engine, and lets it work."""

from __future__ import annotations

import os
from collections.abc import Sequence

from bench.errors import BenchError
from bench.results.workplace import Timing
from bench.run.engines.choice import Engine
from bench.run.engines.hand_out import HandOut, Watcher
from bench.run.engines.pool import Kind, Pool
from bench.run.engines.processes import Processes
from bench.run.engines.ray_pool import RayPool
from bench.run.measurer import Measurer
from bench.run.request import Request
from bench.run.several import Refused
from bench.run.shard import shard_of


def threads_of(engine: Engine) -> int:
    """Return the threads of a worker: those of this machine, divided between them."""
    if engine.threads is not None:
        return engine.threads
    return max(1, (os.cpu_count() or 1) // engine.workers)


def pool_of(engine: Engine, kind: Kind) -> Pool:
    """Start the workers of an engine. Whoever asks for them must close them.

    Raises:
        BenchError: the engine is not there, or is none that takes calls.
    """
    threads = threads_of(engine)
    if engine.engine == "local":
        return Processes(kind, engine.workers, threads)
    if engine.engine == "ray":
        return RayPool(engine, kind, threads)
    raise BenchError(f"expected an engine that takes calls, got {engine.engine}; use local or ray")


def evaluate_in_pool(
    requests: Sequence[Request], watcher: Watcher, timing: Timing | None = None
) -> list[Refused]:
    """Measure the models of several requests in one engine's pool.

    Args:
        requests: at least one; engine, device and workers are the first one's.
        watcher: who is told.
        timing: how long processes wait for each other.

    Returns:
        The models that could not be measured to their end.

    Raises:
        BenchError: the engine is not there, or no worker starts.
        KeyboardInterrupt: passed on; workers are ended, finished units are kept.
    """
    how = requests[0].how
    if how.device == "cpu" and how.gpus_per_task is None and how.engine == "ray":
        how = how.model_copy(update={"gpus_per_task": 0.0})
    pool = pool_of(how, Kind(Measurer, (threads_of(how),)))
    try:
        return HandOut(requests, pool, watcher, shard_of(how.shard).start, timing).run()
    finally:
        pool.close()
