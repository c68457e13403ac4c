"""The workflows: what runs is pinned, and what checks a pull request is the base's own."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import metadata

import pytest
from conftest import REPOSITORY

FOLDER = REPOSITORY / ".github"
WORKFLOWS = sorted((FOLDER / "workflows").glob("*.yml"))
LOCK = (FOLDER / "board.txt").read_text()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_to_commits(path: object) -> None:
    text = (FOLDER / "workflows" / str(path)).read_text()
    used = re.findall(r"uses: *(\S+)(.*)", text)
    assert used
    for action, comment in used:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r" # v[0-9.]+", comment), f"{action}: which version is it?"
    assert text.count("persist-credentials: false") == text.count("actions/checkout@")
    assert "permissions:\n  contents: read\n" in text
    assert "pull_request_target" not in text


def test_the_check_and_the_board_install_by_hash_alone() -> None:
    text = (FOLDER / "workflows" / "submissions.yml").read_text()
    installs = [line.strip() for line in text.splitlines() if "pip install" in line]
    assert len(installs) == 2
    for line in installs:
        assert "--require-hashes" in line
        assert line.endswith("-r .github/board.txt")
        assert "proposed" not in line


def test_the_lock_has_hashes_and_no_hosts() -> None:
    wanted = (FOLDER / "board.in").read_text().split()
    names = re.findall(r"^([a-z0-9._-]+)==\S+(?: ; [^\\]*)? \\$", LOCK, flags=re.MULTILINE)
    assert set(wanted) <= set(names)
    assert "torch" not in names
    blocks = re.split(r"^(?=[a-z0-9._-]+==)", LOCK, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(names)
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", block) for block in blocks)
    assert "://" not in LOCK
    assert "index" not in LOCK.replace("--no-emit-index-url", "")


def needed_by(names: set[str]) -> set[str]:
    """Return distributions with all that their installed versions require, extras left out."""
    found, todo = set(names), list(names)
    while todo:
        try:
            lines = metadata.requires(todo.pop()) or []
        except metadata.PackageNotFoundError:
            continue
        plain = [line for line in lines if "extra ==" not in line]
        new = {re.split(r"[^A-Za-z0-9._-]", line)[0].lower().replace("_", "-") for line in plain}
        todo += new - found
        found |= new
    assert "torch" not in found
    return found


def test_the_lock_has_everything_that_check_and_board_import() -> None:
    """Both verbs import where only the packages of the lock can be found."""
    locked = set(re.findall(r"^([a-z0-9._-]+)==", LOCK, flags=re.MULTILINE))
    # an installed version can be another than the locked one, and need what that one does not
    allowed = needed_by(locked) | {"frequency-bench", "setuptools", "pip"}
    script = f"""
import sys
from importlib import metadata
homes = metadata.packages_distributions()
allowed = {sorted(allowed)!r}

class OnlyLocked:
    def find_spec(self, name, path=None, target=None):
        names = [h.lower().replace("_", "-") for h in homes.get(name.partition(".")[0], [])]
        if names and not set(names) & set(allowed):
            raise ModuleNotFoundError(f"{{name}} is not in the lock", name=name)

sys.meta_path.insert(0, OnlyLocked())
import bench.cli.main, bench.cli.check, bench.cli.leaderboard
import bench.submissions.check.everything, bench.submissions.check.sandbox
import bench.board.build, bench.board.write, bench.board.trial, matplotlib.figure
import scipy.special
try:
    import torch
except ModuleNotFoundError:
    print("torch is out of reach")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "torch is out of reach\n"
    assert {"numpy", "pyarrow", "pydantic", "scipy"} <= locked
