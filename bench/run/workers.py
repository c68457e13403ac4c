"""More processes for a run on this machine: each opens it from its request and takes units."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import warnings
from types import TracebackType
from typing import IO, Any, Self

from bench.errors import BenchWarning
from bench.run.request import Request

PROGRAM = """
import json, sys
spec = json.loads(sys.stdin.readline())
sys.path[:] = spec["path"]
from bench.run.workers import serve
sys.exit(serve(spec))
"""


class Workers:
    """The processes beside this one; a context that ends them.

    Args:
        request: what they work on; its `workers` counts this process too.
        begin_at: share of the work after which this process begins; the others at equal distances.
        stay: whether they end only when all is done.
    """

    def __init__(self, request: Request, begin_at: float = 0.0, stay: bool = True) -> None:
        self._request, self._begin_at, self._stay = request, begin_at, stay
        self._processes: list[tuple[subprocess.Popen[str], IO[str]]] = []

    def start(self, threads: int) -> None:
        """Start them, with so many threads each."""
        for place in range(1, self._request.how.workers):
            request = self._request.but(workers=1, threads=threads).anywhere()
            said = tempfile.TemporaryFile("w+")  # noqa: SIM115  (read and closed at the end)
            process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM],
                stdin=subprocess.PIPE,
                stderr=said,
                stdout=subprocess.DEVNULL,
                text=True,
                env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            )
            assert process.stdin is not None, "it was asked for"
            begin_at = (self._begin_at + place / self._request.how.workers) % 1
            spec = {"path": sys.path, "request": request.model_dump_json(), "begin_at": begin_at}
            spec["stay"] = self._stay
            process.stdin.write(json.dumps(spec) + "\n")
            process.stdin.flush()  # and left open: its end tells the worker that we are gone
            self._processes.append((process, said))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process, _ in self._processes:
            if kind is not None:
                process.terminate()
        for process, said in self._processes:
            process.wait()
            assert process.stdin is not None, "it was asked for"
            process.stdin.close()
            said.seek(0)
            lines = said.read().strip().splitlines()
            said.close()
            if kind is None and process.returncode:
                text = lines[-1] if lines else f"exit code {process.returncode}"
                warnings.warn(
                    f"one of {self._request.how.workers} workers ended early ({text}); the others "
                    "have measured its units",
                    BenchWarning,
                    stacklevel=2,
                )


def serve(spec: dict[str, Any]) -> int:
    """Work on the request of another process until no unit is left; return the exit code."""
    import torch

    from bench.errors import BenchError
    from bench.run.local import run
    from bench.run.progress import Silent
    from bench.run.run import open_run

    # a process that a shell put into the background inherits that interrupts are ignored
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=end_with, args=(sys.stdin,), daemon=True).start()
    request = Request.read(spec["request"])
    torch.set_num_threads(request.how.threads or 1)
    try:
        run(open_run(request), Silent(), begin_at=spec["begin_at"], stay=spec["stay"])
    except BenchError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def end_with(stream: IO[str]) -> None:
    """Interrupt this process when the one that started it is gone."""
    import _thread

    stream.read()
    _thread.interrupt_main()
