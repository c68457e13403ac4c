"""A few SIGKILLs at random moments; `tests/kills.py` does as many as one likes, in every engine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_four_processes_survive_kills(tmp_path: Path) -> None:
    program = Path(__file__).parent / "kills.py"
    found = subprocess.run(
        [sys.executable, str(program), "four", "4", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines()[-1].startswith("4 kills, ")
