"""Two machines whose processes have the same number and the same host name: real namespaces."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY
from work_cases import check

HERE = Path(__file__).parent
TWIN = "unshare --pid --uts --fork --kill-child --mount-proc sh -c"
PROGRAM = """
import os, sys, time
from dataclasses import replace
from pathlib import Path
from work_cases import QUICK, task, work
folder, hangs = Path(sys.argv[1]), sys.argv[2] == "hangs"
def each(place, unit):
    workers = folder / place.task.store.address.blocks / "workers"
    until = time.monotonic() + 60
    while sum(1 for _ in workers.iterdir()) < 2 and time.monotonic() < until and not hangs:
        time.sleep(0.02)
    print(unit.name, flush=True)
    time.sleep(600 if hangs else 0.05)
print(os.getpid(), os.uname().nodename, flush=True)
work(task(folder), each=each, timing=replace(QUICK, stale=5.0))
"""
UNITS = 6


def allowed() -> bool:
    """Whether namespaces can be made here."""
    if shutil.which("unshare") is None:
        return False
    command = [*TWIN.split(), "hostname twin"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not allowed(), reason="needs root, or another right to unshare")


def twin(folder: Path, deed: str) -> subprocess.Popen[str]:
    """Start a process that takes part: number 1 of a machine called twin."""
    program = folder.parent / "program.py"
    program.write_text(PROGRAM)
    script = f'hostname twin; exec "{sys.executable}" "{program}" "{folder}" {deed}'
    return subprocess.Popen(
        [*TWIN.split(), script],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{HERE}"},
    )


def test_twins_share_the_units(tmp_path: Path) -> None:
    twins = [twin(tmp_path / "out", "works") for _ in range(2)]
    said = [each.communicate(timeout=120)[0].splitlines() for each in twins]
    assert [each.returncode for each in twins] == [0, 0]
    assert [lines[0] for lines in said] == ["1 twin"] * 2
    units = [name for lines in said for name in lines[1:]]
    assert len(units) == len(set(units)) == UNITS, "no unit is measured twice"
    check(tmp_path / "out")


def test_a_dead_twin_is_not_taken_for_its_living_sister(tmp_path: Path) -> None:
    """The same number on the same host runs on: its heart alone tells that it is another one."""
    first = twin(tmp_path / "out", "hangs")
    assert first.stdout is not None
    number, unit = first.stdout.readline(), first.stdout.readline()
    second = twin(tmp_path / "out", "works")
    assert second.stdout is not None
    assert number == second.stdout.readline() == "1 twin\n"
    units = [second.stdout.readline() for _ in range(UNITS - 1)]
    assert unit not in units, "it has a living owner"
    first.kill()
    first.communicate()
    assert second.communicate(timeout=120)[0] == unit, "and now it has none"
    check(tmp_path / "out")
