"""The page "How to submit your model": its commands, from entry to board, as they stand there."""

from __future__ import annotations

import ast
import csv
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
from conftest import REPOSITORY

from bench.cli.main import app
from bench.entries import registry
from bench.entries.model import ModelEntry

PAGE = REPOSITORY / "submissions" / "README.md"
PLACE = "submissions/minimal2026/fashionmnist"


def blocks(kind: str) -> list[str]:
    """Return the fenced blocks of one kind, in the page's order."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE)


def place_of(block: str) -> str:
    """A block's first line is a comment that names its file."""
    return block.splitlines()[0].removeprefix("# ")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout as a fork's clone: the registry with a short protocol, no results."""
    root = tmp_path_factory.mktemp("fork")
    shutil.copytree(REPOSITORY / "registry", root / "registry")
    protocol = root / "registry" / "protocols" / "minimal2026.toml"
    text, steps = re.subn(r"steps = \d{3,4}\n", "steps = 15\n", protocol.read_text())
    assert steps == 7
    text = text.replace("count = 1000", "count = 48", 1).replace("min_kept = 100", "min_kept = 20")
    protocol.write_text(text)
    (root / "submissions").mkdir()
    shutil.copy(PAGE, root / "submissions")
    for path, block in [*files("python"), *files("toml")[:1]]:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(block)
    return root


def files(kind: str) -> list[tuple[str, str]]:
    return [(place_of(block), block) for block in blocks(kind)]


@pytest.fixture(scope="module")
def walked(copy: Path) -> Path:
    """Every bash block, in one shell, in order, stopping at the first failure."""
    scripts = Path(sys.executable).parent
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("GIT_")},
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
        "BENCH_REGISTRY": str(copy / "registry"),
        "GIT_CONFIG_GLOBAL": os.devnull,
        **{f"GIT_{who}_{what}": "tester@example.org" for who in ("AUTHOR", "COMMITTER")
           for what in ("NAME", "EMAIL")},
    }  # fmt: skip
    # the last block withdraws the control: keep what the board said before
    steps = ["git init -q .", "git commit -q --allow-empty -m start", *blocks("bash")]
    steps.insert(-1, "cp -r leaderboard before")
    script = "set -euo pipefail\n" + "\n".join(steps)
    done = subprocess.run(
        ["bash", "-c", script], cwd=copy, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (copy / "log.txt").write_text(done.stdout)
    return copy


@pytest.mark.slow
def test_the_walk_ends_on_the_board(walked: Path) -> None:
    with (walked / "before" / "leaderboard.csv").open() as stream:
        lines = {r["model"]: r for r in csv.DictReader(stream) if r["attack"] == "min-l2"}
    assert set(lines) == {"my-cnn", "my-cnn@random"}
    mine = lines["my-cnn"]
    assert (mine["checkpoint_rank_low"], mine["reasons"], mine["n_samples"]) == ("1", "", "48")
    assert mine["verified"].startswith("reproduced 16 of 16 by ")
    assert float(mine["rfc_low"]) <= float(mine["rfc"]) <= float(mine["rfc_high"])
    assert lines["my-cnn@random"]["checkpoint_rank_low"] == ""
    assert "untrained control" in lines["my-cnn@random"]["reasons"]


@pytest.mark.slow
def test_the_withdrawn_model_is_gone_and_the_other_is_there(walked: Path) -> None:
    assert "my-cnn" in (walked / "leaderboard" / "fashionmnist.md").read_text()
    with (walked / "leaderboard" / "leaderboard.csv").open() as stream:
        assert {line["model"] for line in csv.DictReader(stream)} == {"my-cnn"}


@pytest.mark.slow
def test_what_the_page_says_of_the_steps(walked: Path) -> None:
    log = (walked / "log.txt").read_text()
    assert "about 0.0" in log  # the dry run's hours
    assert "Nothing was run and nothing written." in log
    assert "PARTIAL, never ranked: first 8 of 48 samples." in log
    assert "2 submissions, 4 files: no problems" in log
    assert (walked / "results" / "partial" / "minimal2026" / "fashionmnist").is_dir()
    assert (walked / PLACE / "my-cnn.verify.json").is_file()
    total = sum(path.stat().st_size for path in (walked / PLACE).glob("my-cnn.*parquet"))
    assert total <= (600 + 160) * 1024
    committed = subprocess.run(
        ["git", "show", "--stat", "--format=", "HEAD"],
        cwd=walked, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert committed.count("|") == 6  # entry, weights, two results and their side files


def test_every_entry_of_the_page_is_valid(tmp_path: Path) -> None:
    for path, block in files("toml"):
        target = tmp_path / Path(path).name
        target.write_text(block.replace("64 hex digits", "0" * 64))
        entry = registry.read_entry(target, ModelEntry)
        assert path == f"registry/models/{entry.dataset}/{entry.name}.toml"
    # the four sources but for the nets, which need none
    assert len(files("toml")) == 3


def commands() -> list[str]:
    """Return every `bench` command line of the page, in blocks and in the text."""
    text = PAGE.read_text()
    lines = [line for kind in ("bash", "console") for b in blocks(kind) for line in b.splitlines()]
    spans = re.findall(r"`(bench [^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.S | re.M))
    return sorted({line for line in [*lines, *spans] if line.startswith("bench ")})


@pytest.mark.parametrize("line", commands())
def test_every_command_of_the_page_exists(line: str) -> None:
    """Parsed by the command line itself, and not run."""
    group = typer.main.get_command(app)
    _, verb, *arguments = shlex.split(line)
    known = group.commands  # type: ignore[attr-defined]
    assert verb in known
    # a mention in the text names a verb or an option, a block a whole command
    whole = arguments and not line.endswith(("--overwrite", "--check"))
    if whole and verb != "list":
        known[verb].make_context(verb, arguments)


def test_its_numbers_are_the_codes() -> None:
    from bench.submissions.check.places import FULL_BYTES, LEAN_BYTES
    from bench.submissions.verify.judge import TOLERANCES, power

    text = PAGE.read_text()
    for share, shown in ((0.01, ".149"), (0.05, ".560"), (0.25, ".990")):
        assert f"{power(5000, 16, share):.3f}".lstrip("0") == shown
        assert shown in text
    assert (FULL_BYTES, LEAN_BYTES) == (600 * 1024, 160 * 1024)
    assert (TOLERANCES["rfc"].absolute, TOLERANCES["l2"].relative) == (1e-3, 1e-3)
    gates = registry.protocol(registry.default_protocol()).gates
    assert (gates.min_accuracy_over_chance, gates.min_kept) == (2, 100)
    assert (gates.kept_attack, gates.max_broken) == ("min-l2", 0.02)
    assert (gates.max_above_best, gates.max_mean_excess) == (0.05, 0.005)


def test_its_messages_are_the_codes() -> None:
    """Each message of the last table, up to its dots, is a text of the package (or pydantic's)."""
    texts = {"weights.sha256: string should match pattern"}
    for path in (REPOSITORY / "bench").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.add(node.value)
    table = PAGE.read_text().partition("## What went wrong?")[2]
    messages = re.findall(r"^\| `([^`]+)` \|", table, flags=re.MULTILINE)
    assert len(messages) >= 10
    for message in messages:
        for part in message.split("..."):
            assert any(part.strip(" ,;:") in text for text in texts), part
