"""Do cells that were run again have the numbers of those that are there?

The same bits come only from the same machine, threads and versions; elsewhere the last digits of
the weights differ, and what must stay are the numbers that a claim rests on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.entries import registry
from bench.errors import BenchError
from bench.results import study_blocks
from bench.results.study_blocks import StudyBlock
from bench.studies.places import Shelf

SHARE = 0.05
"""Of the smallest effect of interest: cells whose mean RFC differs by less agree."""
NORMS, POINTS = 0.01, 0.5
"""Share by which the mean norm, and points by which the test accuracy, may differ besides."""
SAME_THING = ("identity", "diverged", "train", "test", "attacks")
"""Facts of a cell that must be equal; all others are times, or numbers that are compared."""


def compared(name: str, one: Path, other: Path) -> list[dict[str, Any]]:
    """Return a line for each cell of a study that two folders have; see `study_compare`.

    Raises:
        BenchError: there is none.
    """
    study = registry.study(name)
    mine, theirs = Shelf(study, [one]), Shelf(study, [other])
    lines: list[dict[str, Any]] = []
    for block in study.blocks():
        here, there = mine.find(block), theirs.find(block)
        if here is not None and there is not None:
            pair = study_blocks.read(here), study_blocks.read(there)
            lines += _cells(*pair, SHARE * study.smallest)
    if not lines:
        raise BenchError(
            f"expected a block of study {study.name!r} on all images in {one} and in {other}, "
            "found none that can be read; run one with `bench study run --again`, without --limit"
        )
    return lines


def _cells(one: StudyBlock, other: StudyBlock, tolerance: float) -> Iterator[dict[str, Any]]:
    for name, facts in one.metadata["cells"].items():
        theirs = other.metadata["cells"].get(name, {})
        differ = [key for key in SAME_THING if facts[key] != theirs.get(key)]
        sides = [_Side(block, name) for block in (one, other)]
        if sides[0].keys != sides[1].keys:
            differ.append("rows")
        line = {"cell": name, "rows": len(sides[0].keys), "rows_differ": -1}
        numbers = dict.fromkeys(("rfc", "l2", "test_accuracy", "loss"), float("nan"))
        if not differ:
            line["rows_differ"] = sides[0].rows_that_differ(sides[1])
            numbers = sides[0].differences(sides[1])
        agrees = not differ and numbers["rfc"] <= tolerance
        agrees = agrees and numbers["l2"] <= NORMS and numbers["test_accuracy"] <= POINTS
        yield {**line, **numbers, "agrees": agrees, "other": ", ".join(differ)}


class _Side:
    """One of the two measurements of a cell.

    Args:
        block: it lies in.
        cell: its name.
    """

    def __init__(self, block: StudyBlock, cell: str) -> None:
        here = block.column("cell") == cell
        self.columns = {name: block.column(name)[here] for name in block.rows.schema.names}
        self.kept = block.kept()[here]
        self.points: list[Mapping[str, Any]] = block.metadata["cells"][cell]["points"]
        words = (self.columns[key].tolist() for key in ("attack", "epoch", "sample_id"))
        self.keys = list(zip(*words, strict=True))

    def rows_that_differ(self, other: _Side) -> int:
        """Return how many rows have any value that is not the other's, bit by bit."""
        differ = np.zeros(len(self.keys), dtype=bool)
        for name, mine in self.columns.items():
            theirs = other.columns[name]
            same = mine == theirs
            if mine.dtype.kind == "f":
                same = same | (np.isnan(mine) & np.isnan(theirs))
            differ |= ~same
        return int(differ.sum())

    def differences(self, other: _Side) -> dict[str, float]:
        """Return the largest differences over the checkpoints."""
        pairs = list(zip(self.points, other.points, strict=True))
        epochs = [point["epoch"] for point in self.points]
        mine, theirs = self.means("rfc", epochs), other.means("rfc", epochs)
        norms, their_norms = self.means("l2", epochs), other.means("l2", epochs)
        return {
            "rfc": _largest(mine, theirs),
            "l2": _largest(norms / their_norms, np.ones(len(epochs))),
            "test_accuracy": max(abs(a["test_accuracy"] - b["test_accuracy"]) for a, b in pairs),
            "loss": max(abs(a["loss"] - b["loss"]) for a, b in pairs),
        }

    def means(self, name: str, epochs: list[int]) -> npt.NDArray[np.float64]:
        """Return a column's mean over the images that are kept, at each checkpoint."""
        values, at = self.columns[name][self.kept], self.columns["epoch"][self.kept]
        found = [values[at == epoch] for epoch in epochs]
        return np.array([part.mean() if len(part) else np.nan for part in found])


def _largest(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    """Return the largest absolute difference of two lists, 0 where both are NaN."""
    both = np.isnan(one) & np.isnan(other)
    difference = np.where(both, 0.0, np.abs(one - other))
    return float(np.nan_to_num(difference, nan=np.inf).max(initial=0.0))
