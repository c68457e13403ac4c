"""`bench eval` says before it measures what will keep a model from being submitted."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.cli import eval_engines as command
from bench.errors import BenchWarning
from bench.run.choose import model_entry
from bench.run.request import Request

BARE = """
name = "mine"
source = "factory"
factory = "mine:build"
dataset = "fashionmnist"
family = "cnn"
type = "Convolutional"
"""


class Measured(Exception):
    """Measuring has begun."""


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts of the warnings that were there when measuring began."""
    found: list[str] = []

    def begin(request: Request, _: object, opened: Callable[[Any], None], *__: object) -> None:
        reasons = () if request.data.limit is None else ("a limit",)
        opened(
            SimpleNamespace(entry=model_entry(request), partial_reasons=reasons, request=request)
        )
        raise Measured

    monkeypatch.setattr(command, "take_part", begin)
    return found


def run(request: Request, said: list[str]) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(Measured):
            command.measure(request, [request.what.model])
    said += [str(one.message) for one in caught if issubclass(one.category, BenchWarning)]
    return said


def test_what_lacks_is_said_in_one_line_before(tmp_path: Path, said: list[str]) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(BARE)
    (line,) = run(Request.of(model=str(path)), said)
    assert line.startswith(
        "mine can't be submitted as it is: expected its entry in registry/models"
    )
    assert "(and 2 more, see `bench check`)" in line


def test_missing_credits_are_said(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.entries import registry

    path = tmp_path / "mine.toml"
    path.write_text(
        BARE + '[weights]\nurl = "https://example.org/x"\nsha256 = "' + "0" * 64 + '"\n'
    )
    names = registry.model_names()
    monkeypatch.setattr(registry, "model_names", lambda: [*names, "mine"])
    (line,) = run(Request.of(model=str(path)), said)
    assert line.startswith("mine can't be submitted as it is: expected [credits] with authors")
    # a few samples are no measurement to submit
    assert run(Request.of(model=str(path), limit=8), []) == []


@pytest.mark.parametrize(
    "name", ["fashionmnist-local-conv-relu", "fashionmnist-local-conv-k7-relu", "resnet50d"]
)
def test_nothing_is_said_of_what_can_be_submitted(name: str, said: list[str]) -> None:
    assert run(Request.of(model=name), said) == []
