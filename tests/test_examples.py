"""The worked examples of README and submissions/README.md run as they stand."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from conftest import REPOSITORY

import bench
from bench.cli.main import call
from bench.entries import registry

PAGES = {
    "README.md": ("## Five examples", "## What is measured"),
    "README.md in Python": ("In Python:", "Every verb has its call"),
    "submissions/README.md": ("## See what you measured", "## Replace or withdraw"),
}
"""Page -> the part of it that holds examples."""


def blocks(page: str) -> list[tuple[str, str]]:
    """Return the kind and content of the fenced blocks of a part, in order."""
    begin, end = PAGES[page]
    text = (REPOSITORY / page.split(" ")[0]).read_text()
    part = text[text.index(begin) : text.index(end)]
    return re.findall(r"^```(\w+)\n(.*?)^```$", part, flags=re.DOTALL | re.MULTILINE)


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the submissions, as a clone has them, and importable modules of the user's."""
    (tmp_path / "submissions").symlink_to(REPOSITORY / "submissions")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def run(kind: str, block: str) -> None:
    """Run a block, or write it where its first line says."""
    named = re.match(r"# ([\w-]+\.(?:py|toml))\n", block)
    if named:
        Path(named[1]).write_text(block)
    elif kind in ("python", "py"):
        exec(compile(block, "example", "exec"), {"__name__": "example"})
    else:
        assert kind == "bash"
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            assert words[0] == "bench"
            assert call(words[1:]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_the_examples_run(page: str, clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = blocks(page)
    assert len(found) == {"README.md": 7, "README.md in Python": 1}.get(page, 2)
    for kind, block in found:
        run(kind, block)
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    if page == "README.md":
        assert (clone / "mine.png").is_file()
        assert (clone / "results/partial/minimal2026/fashionmnist/mine.parquet").is_file()
        assert "CONTROL: untrained weights" in out
        assert "bench show" in out
    if page == "submissions/README.md":
        accepted = int(re.findall(r"(\d+) are smaller", out)[0])
        assert accepted >= 5


def test_what_is_measured_is_what_readme_says() -> None:
    """Ten nets of FashionMNIST on the board, the rest of the 92 models registered."""
    text = " ".join((REPOSITORY / "README.md").read_text().split())
    measured = [
        path.stem
        for path in (REPOSITORY / "submissions" / "minimal2026").glob("*/*.parquet")
        if "@" not in path.stem and "." not in path.stem
    ]
    assert "the ten FashionMNIST nets" in text
    assert len(measured) == 10
    assert all(name.startswith("fashionmnist-") for name in measured)
    assert f"The other {len(registry.model_names()) - len(measured)} models are registered" in text


def test_every_verb_has_its_call() -> None:
    text = (REPOSITORY / "README.md").read_text()
    part = text[text.index("Every verb has its call") :].split("What gives")[0]
    named = set(re.findall(r"`(?:bench\.)?(\w+)`", part)) - {"show"}
    assert named == set(bench.__all__) - {"BenchError", "__version__", "load_model", "spectrum"}
    assert all(callable(getattr(bench, name)) for name in named)
