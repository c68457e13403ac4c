"""A pool of processes on this machine. What dies takes nothing but its own call with it."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from bench.run.engines.pool import Answer, Kind


class Processes:
    """Workers that are processes of this machine; fulfils `bench.run.engines.pool.Pool`.

    Args:
        kind: what each of them is.
        count: how many.
        threads: of each, for libraries that ask the environment.
    """

    def __init__(self, kind: Kind, count: int, threads: int) -> None:
        self.count, self._kind, self._threads = count, kind, threads
        self._executors = [self._start() for _ in range(count)]
        self._pending: dict[Future[Any], int] = {}

    def _start(self) -> ProcessPoolExecutor:
        # one executor a worker: where a process dies, an executor with several loses all of them
        return ProcessPoolExecutor(
            1,
            multiprocessing.get_context("spawn"),
            initializer=_begin,
            initargs=(self._kind, self._threads),
        )

    def call(self, worker: int, method: str, *arguments: Any) -> None:
        """Let an idle worker call one of its methods."""
        self._pending[self._executors[worker].submit(_call, method, arguments)] = worker

    def answers(self, seconds: float) -> Sequence[Answer]:
        """Wait for answers."""
        done, _ = wait(self._pending, timeout=seconds, return_when=FIRST_COMPLETED)
        return [self._answer(future, self._pending.pop(future)) for future in done]

    def _answer(self, future: Future[Any], worker: int) -> Answer:
        error = future.exception()
        if error is None:
            return Answer(worker, future.result())
        return Answer(worker, error=error, died=isinstance(error, BrokenProcessPool))

    def renew(self, worker: int) -> None:
        """Start another process in a worker's place."""
        _end(self._executors[worker])
        self._executors[worker] = self._start()

    def close(self) -> None:
        """End all workers at once."""
        for executor in self._executors:
            _end(executor)


_worker: list[Any] = []
"""In a worker's process: the worker."""


def _begin(kind: Kind, threads: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started it ends it
    os.environ["OMP_NUM_THREADS"] = str(threads)
    _worker[:] = [kind.maker(*kind.arguments)]


def _call(method: str, arguments: tuple[Any, ...]) -> Any:
    return getattr(_worker[0], method)(*arguments)


def _end(executor: ProcessPoolExecutor) -> None:
    processes = list((executor._processes or {}).values())
    for process in processes:
        process.kill()
    executor.shutdown(wait=True, cancel_futures=True)
