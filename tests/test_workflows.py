"""The workflows: what runs is pinned, and what checks a pull request is the base's own."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY

FOLDER = REPOSITORY / ".github"
WORKFLOWS = sorted((FOLDER / "workflows").glob("*.yml"))
LOCK = (FOLDER / "board.txt").read_text()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_to_commits(path: Path) -> None:
    text = path.read_text()
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


def test_the_lock_has_everything_that_check_and_board_import() -> None:
    """Third-party packages that the package's modules name, of those that both verbs load."""
    script = (
        "import sys, bench.cli.main, bench.cli.check, bench.cli.leaderboard\n"
        "import bench.submissions.check.everything, bench.submissions.check.sandbox\n"
        "import bench.board.build, bench.board.write, bench.board.trial\n"
        "print(*(m.__file__ for n, m in sys.modules.items() if n.split('.')[0] == 'bench'))"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    tops = set()
    for file in done.stdout.split():
        for node in ast.walk(ast.parse(Path(file).read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            tops |= {name.split(".")[0] for name in names}
    third = {n.replace("_", "-") for n in tops - set(sys.stdlib_module_names) - {"bench"}}
    locked = set(re.findall(r"^([a-z0-9._-]+)==", LOCK, flags=re.MULTILINE))
    assert third - {"torch"} <= locked  # torch: in types, and in functions of other verbs
    assert {"numpy", "pyarrow", "pydantic", "matplotlib", "scipy"} <= third
