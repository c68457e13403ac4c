"""Checking in a process of its own, so that a hostile file can only hurt that process.

A reader of a binary format may crash, hang or eat memory on a file that was made to do so. The
worker has limits on memory and time; when it dies, that is a finding like any other.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from bench.submissions.check.places import Place
from bench.submissions.check.problems import Findings, Problem

MEMORY = 3 * 2**30
"""Bytes of address space of the worker."""
SECONDS = 120
"""For one submission."""


def check_apart(groups: Sequence[Sequence[Place]]) -> Iterator[list[Problem]]:
    """Check submissions one after another in a worker; a new one for each that dies.

    Args:
        groups: the files of each submission.
    """
    worker: subprocess.Popen[str] | None = None
    try:
        for places in groups:
            worker = worker or _start()
            answer = _ask(worker, places)
            if answer is None:
                code = _stop(worker)
                worker = None
                yield [_died(places, code)]
            else:
                yield [Problem(**item) for item in json.loads(answer)]
    finally:
        if worker is not None:
            _stop(worker)


def _start() -> subprocess.Popen[str]:
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}
    return subprocess.Popen(
        [sys.executable, "-m", "bench.submissions.check.sandbox"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )


def _stop(worker: subprocess.Popen[str]) -> int:
    """Close the worker's pipes, which ends it, and return its exit code."""
    for stream in (worker.stdin, worker.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
    try:
        return worker.wait(timeout=10)
    except subprocess.TimeoutExpired:
        worker.kill()
        return worker.wait()


def _ask(worker: subprocess.Popen[str], places: Sequence[Place]) -> str | None:
    """Send one submission and return the answer's line; None if the worker died or hung."""
    assert worker.stdin is not None, "the worker is opened with pipes"
    assert worker.stdout is not None, "the worker is opened with pipes"
    question = [{**asdict(place), "path": str(place.path)} for place in places]
    timer = threading.Timer(SECONDS, worker.kill)
    timer.start()
    try:
        worker.stdin.write(json.dumps(question) + "\n")
        worker.stdin.flush()
        return worker.stdout.readline() or None
    except OSError:
        return None
    finally:
        timer.cancel()


def _died(places: Sequence[Place], code: int) -> Problem:
    findings = Findings(str(places[0].path))
    how = f"it was stopped by signal {-code}" if code < 0 else f"it ended with code {code}"
    findings.add(
        "",
        f"expected a file that can be read within {MEMORY >> 30} GiB and {SECONDS} s: {how}",
        "make it again with `bench submit`",
    )
    return findings.problems[0]


def _limit() -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def main() -> None:
    """The worker: a line of places in, a line of problems out."""
    from bench.submissions.check.check import check_submission

    _limit()
    for line in sys.stdin:
        places = [Place(**{**item, "path": Path(item["path"])}) for item in json.loads(line)]
        try:
            problems = check_submission(places)
        except Exception as error:
            # a file that finds a gap in the checks must not pass for lack of an answer
            findings = Findings(str(places[0].path))
            text = f"expected a file that the checks can judge: {type(error).__name__}: {error}"
            findings.add("", text, "make it again with `bench submit`")
            problems = findings.problems
        sys.stdout.write(json.dumps([asdict(problem) for problem in problems]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
