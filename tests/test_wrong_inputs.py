"""Whatever is wrong, one clear line says what was expected, and nothing is written."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY
from test_imports import HEAVY, loaded
from wrong_inputs import IN_PYTHON, NET, ON_THE_COMMAND_LINE

from bench.cli.main import call
from bench.errors import BenchError

BY_WORDS = ("eval", "theory", "rescore", "selftest", "download", "probe")
"""Verbs that need torch, and whose wrong options are told without it."""
EARLY = [
    key
    for key, (arguments, _) in ON_THE_COMMAND_LINE.items()
    if arguments
    and key != "scoring no result"  # which is looked for by what measures
    and (
        arguments[0] in BY_WORDS
        or key.startswith(
            ("showing as", "joining to", "challenging on", "a study", "training nothing")
        )
    )
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", IN_PYTHON)
def test_in_python(kind: str, here: Path) -> None:
    run, words = IN_PYTHON[kind]
    with pytest.raises(BenchError) as caught:
        run(here)
    text = str(caught.value)
    assert words in text
    assert "\n" not in text
    assert len(text) < 500
    assert not list(here.rglob("*.*"))


def places(argument: str) -> str:
    """Return an argument with the place of a real file, where it stands for one."""
    folder = REPOSITORY / "submissions"
    files = {
        "SIDE": folder / "caro2024" / "fashionmnist" / f"{NET}.extras.parquet",
        "CARO": folder / "caro2024" / "fashionmnist" / f"{NET}.parquet",
        "MINIMAL": folder / "minimal2026" / "fashionmnist" / f"{NET}.parquet",
        "README": REPOSITORY / "registry" / "data" / "fashionmnist-test-first1000.parquet",
    }
    return str(files.get(argument, argument))


@pytest.mark.parametrize("kind", ON_THE_COMMAND_LINE)
def test_on_the_command_line(
    kind: str, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments, words = ON_THE_COMMAND_LINE[kind]
    folder = here / "caro2024" / "fashionmnist"
    if "--results" in arguments and arguments[0] != "submit":
        folder.mkdir(parents=True)
        (folder / "somebody.parquet").write_bytes(b"")
    monkeypatch.setattr(sys, "argv", ["bench"])
    assert call([places(argument) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    errors = [line for line in err.splitlines() if line.startswith("bench: error: ")]
    assert len(errors) == 1
    assert words in errors[0]
    assert "Traceback" not in err + out
    assert [p.name for p in here.rglob("*.*")] in ([], ["somebody.parquet"])


def test_wrong_options_are_found_before_torch_is_imported() -> None:
    """Every one of the verbs that measure, in one fresh interpreter."""
    assert len(EARLY) > 40
    calls = "\n".join(
        f"    assert call({ON_THE_COMMAND_LINE[key][0]!r}) == 2, {key!r}" for key in EARLY
    )
    code = (
        "import contextlib, io\nfrom bench.cli.main import call\n"
        f"with contextlib.redirect_stderr(io.StringIO()):\n{calls}"
    )
    assert loaded(code, HEAVY) == []


def test_there_are_sixty() -> None:
    assert len(IN_PYTHON) >= 60
    assert len(ON_THE_COMMAND_LINE) >= 60
