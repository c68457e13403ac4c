"""The board's nets beside a result: of the same data set, protocol and input size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.entries.registry import registry_dir
from bench.errors import BenchError
from bench.figures.mark import Mark
from bench.figures.style import plain
from bench.results.read import ERRORS, find
from bench.show.result import Result
from bench.show.source import from_file

MOST = 24
"""Nets on a figure; more can't be told apart."""


def nets(result: Result, submissions: Path | None) -> list[Result]:
    """Return the trained models of a folder of submissions that may stand beside a result.

    Further training seeds are left out, and so is the result itself.

    Args:
        result: what is shown.
        submissions: the folder; one that is not there: the checkout's own; None: none.
    """
    if submissions is None:
        return []
    if not submissions.is_dir():  # elsewhere than in the checkout
        submissions = registry_dir().parent / "submissions"
    found: list[Result] = []
    for path in find(submissions):
        same = (path.parent.parent.name, path.parent.name) == (
            result.protocol.name,
            result.dataset.name,
        )
        if not same or "@" in path.stem or path.stem == result.name or len(found) == MOST:
            continue
        try:
            other = from_file(path)
        except (BenchError, *ERRORS):
            continue  # `bench check` says what is wrong with it
        if other.size == result.size and other.hash == result.hash:
            found.append(other)
    return found


def mark(result: Result) -> Mark:
    """Return how a result is told apart in figures."""
    made: Mapping[str, Any] = result.made
    short = result.name.removeprefix(f"{result.dataset.name}-")
    return Mark(
        name=result.name,
        label=plain(short),
        family=plain(str(made.get("family") or "other")),
        type=plain(str(made.get("type") or "Other")),
        linear=result.linear,
        control=result.control,
        ranked=not result.reasons,
    )


def by_family(found: Sequence[Result]) -> list[Result]:
    """Return nets in the order of their families and names, as legends list them."""
    return sorted(found, key=lambda one: (mark(one).family, one.name))
