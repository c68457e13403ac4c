"""Checking in a process of its own, so that a hostile file can only hurt that process.

A reader of a binary format may crash, hang or eat memory on a file that was made to do so. The
worker has limits on memory and time; when it dies, that is a finding like any other. All of them
together have a limit on time, too: many files that are each slow can't hold the check.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.submissions.check.places import Place
from bench.submissions.check.problems import Findings, Problem, printable

MEMORY = 3 * 2**30
"""Bytes of address space of the worker."""
CPU_SECONDS = 20
"""For one submission or entry: of computing, so that a busy machine refuses nothing. An honest one
takes a fifth of a second."""
SECONDS = 120
"""For one submission or entry: of waiting."""
GRACE, EACH = 60, 2
"""All of them together may take so many seconds of computing, and so many more for each."""
MAX_ANSWER = 4_000_000
"""Characters of an answer."""


@dataclass(frozen=True)
class Answer:
    """What the worker said of one question.

    Attributes:
        problems: what is wrong.
        told: a sketch (:mod:`bench.submissions.check.copies`) or an entry's weights, as JSON.
    """

    problems: list[Problem]
    told: Mapping[str, Any] | None = None


def check_apart(groups: Sequence[Sequence[Place]]) -> Iterator[list[Problem]]:
    """Check submissions one after another in a worker; a new one for each that dies.

    Args:
        groups: the files of each submission.
    """
    for answer in ask_apart([submission_question(places) for places in groups]):
        yield answer.problems


def submission_question(places: Sequence[Place]) -> dict[str, Any]:
    """Return the question about one submission; its sketch comes with the answer."""
    files = [{**asdict(place), "path": str(place.path)} for place in places]
    return {"file": str(places[0].path), "places": files}


def entry_question(path: Path) -> dict[str, Any]:
    """Return the question about one entry's file; its weights' hash comes with the answer."""
    return {"file": str(path), "entry": str(path)}


def ask_apart(questions: Sequence[Mapping[str, Any]]) -> Iterator[Answer]:
    """Answer questions one after another in a worker; a new one for each that dies.

    Args:
        questions: made by the functions above.
    """
    worker: subprocess.Popen[str] | None = None
    left = GRACE + EACH * float(len(questions))
    try:
        for question in questions:
            if left <= 0:
                text = "expected checks that end in time, found too many files that take long"
                yield Answer([_problem(question, text)])
                continue
            worker = worker or _start()
            line = _ask(worker, question)
            found = _read(line)
            if found is None:
                code = _stop(worker)
                worker = None
                left -= CPU_SECONDS
                yield Answer([_problem(question, _died(code))])
            else:
                left -= max(0.0, float(found["seconds"]))
                yield Answer([Problem(**item) for item in found["problems"]], found["told"])
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


def _ask(worker: subprocess.Popen[str], question: Mapping[str, Any]) -> str:
    """Send one question and return the answer's line; "" if the worker died or hung."""
    assert worker.stdin is not None, "the worker is opened with pipes"
    assert worker.stdout is not None, "the worker is opened with pipes"
    timer = threading.Timer(SECONDS, worker.kill)
    timer.start()
    try:
        worker.stdin.write(json.dumps(question) + "\n")
        worker.stdin.flush()
        return worker.stdout.readline(MAX_ANSWER)
    except OSError:
        return ""
    finally:
        timer.cancel()


def _read(line: str) -> dict[str, Any] | None:
    """The answer; None if it is none, or not the whole of one."""
    try:
        found = json.loads(line) if line.endswith("\n") else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _problem(question: Mapping[str, Any], text: str) -> Problem:
    findings = Findings(str(question["file"]))
    findings.add("", text, "make it again with `bench submit`")
    return findings.problems[0]


def _died(code: int) -> str:
    how = f"it was stopped by signal {-code}" if code < 0 else f"it ended with code {code}"
    return (
        f"expected a file that can be read within {MEMORY >> 30} GiB and {CPU_SECONDS} s of "
        f"computing: {how}"
    )


def _limit() -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _limit_time(seconds: float) -> None:
    """Let the system end this process after so many seconds of computing; 0: never."""
    import signal

    if hasattr(signal, "setitimer"):  # not on Windows, where only the waiting is limited
        signal.setitimer(signal.ITIMER_PROF, seconds)


def answer(question: Mapping[str, Any]) -> dict[str, Any]:
    """Return problems and what was told, as JSON can say it."""
    from bench.submissions.check.check import judge_submission
    from bench.submissions.check.entries import check_entry

    findings = Findings(str(question["file"]))
    told: dict[str, Any] | None = None
    try:
        if "entry" in question:
            entry = check_entry(Path(question["entry"]), findings)
            weights = None if entry is None else entry.weights
            told = None if weights is None else {"sha256": weights.sha256}
            problems = findings.problems
        else:
            files = question["places"]
            places = [Place(**{**item, "path": Path(item["path"])}) for item in files]
            problems, sketch = judge_submission(places)
            told = None if sketch is None else sketch.to_json()
    except Exception as error:
        # a file that finds a gap in the checks must not pass for lack of an answer
        text = f"expected a file that the checks can judge: {type(error).__name__}: "
        findings.add("", text + printable(str(error)[:200]), "make it again with `bench submit`")
        problems = findings.problems
    return {"problems": [asdict(problem) for problem in problems], "told": told}


def main() -> None:
    """The worker: a line with a question in, a line with the answer out."""
    import time

    import bench.submissions.check.check  # noqa: F401  (loading it is nobody's fault)

    _limit()
    for line in sys.stdin:
        began = time.process_time()
        _limit_time(CPU_SECONDS)
        found = answer(json.loads(line))
        _limit_time(0)
        found["seconds"] = time.process_time() - began
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
