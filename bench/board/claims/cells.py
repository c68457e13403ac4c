"""The cells of a study that are measured, as arrays; and what of a folder can't be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.entries import registry
from bench.entries.factors import PLANTED_CLASSES
from bench.entries.study import Cell, Study
from bench.errors import BenchError
from bench.results import study_blocks
from bench.results.study_blocks import NUMBERS, StudyBlock
from bench.stats.bootstrap import Bools, Floats

QUANTITIES = (*NUMBERS,)
LEARNED = 2.0
"""Times chance that the accuracy of a trained net must be, as on the board."""


@dataclass(frozen=True)
class Rows:
    """A net at one checkpoint; n sample ids, 0 first.

    Attributes:
        values: quantity -> (n,), NaN where it does not exist.
        kept: (n,) enters means: see `StudyBlock.kept`.
    """

    values: Mapping[str, Floats]
    kept: Bools


@dataclass(frozen=True)
class Net:
    """One measured cell.

    Attributes:
        cell: what it is.
        rows: epoch -> rows.
        points: epoch -> {loss, accuracy, test_loss, test_accuracy}.
        diverged: why training ended early; None: it did not.
    """

    cell: Cell
    rows: Mapping[int, Rows]
    points: Mapping[int, Mapping[str, float]]
    diverged: str | None

    @property
    def end(self) -> int:
        """The last epoch that was planned."""
        return self.cell.checkpoints[-1]

    @property
    def accuracy(self) -> float:
        """Test accuracy after the last epoch, percent; NaN where training did not get there."""
        return self.points[self.end]["test_accuracy"] if self.end in self.points else float("nan")

    @property
    def learned(self) -> bool:
        """Whether it has found what tells the classes apart: not below LEARNED times chance."""
        factors = self.cell.factors
        if factors.data == "shuffled-labels" or self.end == 0:
            return True  # there is nothing to find, or it was never trained
        planted = factors.data == "planted"
        classes = PLANTED_CLASSES if planted else len(registry.dataset(factors.dataset).classes)
        return not self.accuracy < LEARNED * 100 / classes


@dataclass(frozen=True)
class Found:
    """What there is of a study.

    Attributes:
        study: its plan.
        planned: cell name -> cell.
        nets: cell name -> what was measured.
        stale: files and cells that are not of this plan, with the reason.
        older: block files that were run when the study's text was another one.
        files: the block files that could be read, sorted.
    """

    study: Study
    planned: Mapping[str, Cell]
    nets: Mapping[str, Net]
    stale: tuple[str, ...] = ()
    older: int = 0
    files: tuple[Path, ...] = field(default=())

    @property
    def ids(self) -> int:
        """Largest number of sample ids of a cell."""
        return max((cell.end_samples for cell in self.planned.values()), default=0)


def read(folder: Path, study: Study) -> Found:
    """Return what is measured of a study in `<folder>/<study>/*.parquet`; none there is no error.

    A cell that is not the plan's any more is named and left out: its numbers answer another
    question.
    """
    planned = {cell.name: cell for block in study.blocks() for cell in block.cells}
    nets: dict[str, Net] = {}
    stale: list[str] = []
    older = 0
    files = sorted((folder / study.name).glob("*.parquet"))
    readable: list[Path] = []
    for path in files:
        try:
            block = study_blocks.read(path)
        except BenchError as error:
            stale.append(f"{path.name}: {error}")
            continue
        readable.append(path)
        if block.metadata.get("limit") is not None:
            stale.append(f"{path.name}: a trial on the first images only")
            continue
        older += block.metadata.get("study_hash") != study.hash
        for name, facts in sorted(block.metadata["cells"].items()):
            cell = planned.get(name)
            if cell is None or facts["identity"] != cell.identity:
                stale.append(f"{path.name}: {name} is not what the plan says now")
            elif name in nets:
                stale.append(f"{path.name}: {name} is measured twice")
            else:
                nets[name] = _net(block, cell, facts)
    return Found(study, planned, nets, tuple(stale), older, tuple(readable))


def _net(block: StudyBlock, cell: Cell, facts: Mapping[str, Any]) -> Net:
    of_cell = (block.column("cell") == cell.name) & (block.column("attack") == cell.attack)
    epochs, ids, kept = block.column("epoch"), block.column("sample_id"), block.kept()
    if (
        str(cell.factors.family) == "optimum"
    ):  # never trained, but right or wrong like a trained net
        kept = kept & block.column("clean_correct").astype(bool)
    columns = {name: block.column(name) for name in QUANTITIES}
    rows = {}
    for epoch in sorted({int(e) for e in epochs[of_cell]}):
        these = of_cell & (epochs == epoch)
        place, count = ids[these], int(ids[these].max()) + 1
        values = {name: np.full(count, np.nan) for name in QUANTITIES}
        for name, column in columns.items():
            values[name][place] = column[these]
        mask = np.zeros(count, dtype=bool)
        mask[place] = kept[these]
        rows[epoch] = Rows(values, mask)
    points = {
        int(p["epoch"]): {k: float(v) for k, v in p.items() if isinstance(v, int | float)}
        for p in facts["points"]
    }
    diverged = facts.get("diverged")
    return Net(cell, rows, points, None if diverged is None else str(diverged["text"]))
