"""Kills a run before its n-th system call that changes a folder, for every n; then runs it again.

    python tests/kill_everywhere.py SCENARIO FOLDER

SCENARIO `crowd` lets three processes at once die at random points instead, 50 times. Children are
forked from this process, which itself touches no Arrow and has one thread. Prints how
many points there were; fails if a plain run afterwards does not leave every row, once.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import pandas as pd
import pyarrow.dataset
import work_cases
from work_cases import QUICK, check

LOADED = (pd, pyarrow.dataset)
"""Imported by the children at their first read otherwise, each time."""
IDS = range(1, 8)
"""Two blocks an attack."""
CALLS = ("replace", "rename", "link", "unlink", "rmdir", "mkdir", "fsync")


def dying(at: int) -> None:
    """Let this process die before its `at`-th call."""
    left = [at]
    os.fsync = lambda descriptor: None  # a disk that is slow to flush would only cost time

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def before(*arguments: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os._exit(9)
            return call(*arguments, **options)

        return before

    for name in CALLS:
        setattr(os, name, counted(getattr(os, name)))


def task(folder: Path, ids: range = IDS, **options: Any) -> work_cases.Task:
    """A run's task; few rows, for it is killed often."""
    return work_cases.task(folder, ids, **options)


def work(asked: work_cases.Task, version: float = 0.0) -> None:
    """Run a task. The heart does not beat meanwhile, so that every run makes the same calls."""
    work_cases.work(asked, version=version, timing=replace(QUICK, beat=60.0))


def forked(do: Callable[[], None]) -> int:
    """Do something in a child and return its exit code."""
    child = os.fork()
    if child == 0:
        try:
            do()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def fresh(folder: Path) -> None:
    """A first run."""
    work(task(folder))


def resumed(folder: Path) -> None:
    """A run that adds samples and an attack to a finished one."""
    work(task(folder))


def anew(folder: Path) -> None:
    """A run that measures everything again, with another outcome."""
    work(task(folder, anew=True), version=1.0)


def deltas(folder: Path) -> None:
    """A run that adds perturbations to finished rows."""
    work(task(folder, deltas=True))


BEFORE: dict[str, Callable[[Path], Any]] = {
    "fresh": lambda folder: None,
    "resumed": lambda folder: work(work_cases.task(folder, range(1, 4), ["bb-l2"])),
    "anew": fresh,
    "deltas": fresh,
}


def crowd(folder: Path) -> None:
    """Three processes at once, of which each dies before some call or comes to its end."""
    for seed in range(50):
        place, rng = folder / str(seed), random.Random(seed)
        children = []
        for number in range(3):
            at = rng.randrange(1, 120)
            child = os.fork()
            if child == 0:
                dying(at)
                work(task(place, anew=seed % 5 == number))
                os._exit(0)
            children.append(child)
        for child in children:
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            assert code in (0, 9), f"seed {seed}: exit code {code}"

        def again(p: Path = place) -> None:
            work(task(p))
            work(task(p, anew=True))
            check(p, IDS)

        assert forked(again) == 0, f"seed {seed}: see above"
    print("50 rounds")


def main(scenario: str, folder: Path) -> None:
    """Kill at every point."""
    run = {"fresh": fresh, "resumed": resumed, "anew": anew, "deltas": deltas}[scenario]
    template, point = folder / "before", 0
    template.mkdir(parents=True)
    assert forked(lambda: BEFORE[scenario](template)) == 0, "the run before failed"
    while True:
        point += 1
        place = folder / f"{scenario}-{point}"
        shutil.copytree(template, place)

        def killed(p: Path = place, n: int = point) -> None:
            dying(n)
            run(p)

        code = forked(killed)
        assert code in (0, 9), f"point {point}: exit code {code}"

        def again(p: Path = place, done: bool = code == 0) -> None:
            work(task(p))
            every = (lambda a, i: 1.0) if done and scenario == "anew" else None
            check(p, IDS, version=every, tidy=not (p / "quick/digits/toy.blocks").exists())
            if scenario in ("anew", "deltas"):  # and the interrupted command again
                run(p)
                outcome = 1.0 if scenario == "anew" else 0.0
                check(p, IDS, version=lambda a, i: outcome)

        assert forked(again) == 0, f"killed at point {point} of {scenario}: see above"
        if code == 0:
            print(f"{point - 1} points")
            return


if __name__ == "__main__":
    if sys.argv[1] == "crowd":
        crowd(Path(sys.argv[2]))
    else:
        main(sys.argv[1], Path(sys.argv[2]))
