"""More processes for a study on this machine; they end with the one that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import warnings
from dataclasses import asdict, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from bench.errors import BenchError, BenchWarning
from bench.run.workers import end_with

if TYPE_CHECKING:
    from bench.studies.run import StudyRun

PROGRAM = """
import json, sys
spec = json.loads(sys.stdin.readline())
sys.path[:] = spec.pop("path")
from bench.studies.workers import serve
sys.exit(serve(spec))
"""


class Workers:
    """The processes beside this one; a context that ends them.

    Args:
        asked: what they work on; its `workers` counts this process too.
        threads: of torch, in each.
    """

    def __init__(self, asked: StudyRun, threads: int) -> None:
        self._asked, self._threads = asked, threads
        self._processes: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        import json

        asked = replace(self._asked, workers=1, threads=self._threads)
        spec = json.dumps({"path": sys.path, **asdict(asked)})
        for _ in range(self._asked.workers - 1):
            process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                text=True,
                env={**os.environ, "OMP_NUM_THREADS": str(self._threads)},
            )
            assert process.stdin is not None, "it was asked for"
            process.stdin.write(spec + "\n")
            process.stdin.flush()  # and left open: its end tells the worker that we are gone
            self._processes.append(process)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes:
            if kind is not None:
                process.terminate()
        for process in self._processes:
            process.wait()
            assert process.stdin is not None, "it was asked for"
            process.stdin.close()
            if kind is None and process.returncode:
                text = f"a worker ended early (exit code {process.returncode}); the others went on"
                warnings.warn(text, BenchWarning, stacklevel=2)


def serve(spec: dict[str, Any]) -> int:
    """Work on what another process was asked for until nothing is missing; return the exit code."""
    import torch

    from bench.studies.run import StudyRun, run
    from bench.studies.source import Source

    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=end_with, args=(sys.stdin,), daemon=True).start()
    asked = StudyRun(
        **{
            **spec,
            "source": Source(**spec["source"]),
            "cells": tuple(spec["cells"]),
            "groups": tuple(spec["groups"]),
        }
    )
    torch.set_num_threads(asked.threads or 1)
    try:
        run(asked)
    except BenchError as error:
        sys.stderr.write(f"bench: error: {error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    return 0
