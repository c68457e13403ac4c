"""A study's plan: its groups and cells, what is there, what the rest costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.entries.study import Block, Cell, Study
from bench.results import study_blocks
from bench.studies.cost import Kind, estimated_seconds, kind_of, measured_seconds
from bench.studies.places import Shelf

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class CellPlan:
    """One cell: its name and group, whether it is there, what it costs.

    Attributes:
        cell: what it is.
        done: it is there.
        seconds: that it takes one process; None: not known.
        measured: the seconds are those of finished cells of its kind.
    """

    cell: Cell
    done: bool
    seconds: float | None
    measured: bool


@dataclass(frozen=True)
class StudyPlan:
    """A study and its chosen cells, in the order in which they are run."""

    study: Study
    cells: tuple[CellPlan, ...]
    bytes: int
    """Of the blocks that are there."""

    def of(self, group: str) -> list[CellPlan]:
        """Return the cells of a group."""
        return [planned for planned in self.cells if planned.cell.group == group]


def hours_left(cells: Sequence[CellPlan]) -> tuple[float, int]:
    """Return the hours that one process takes for what is missing, and of how many it is unknown.

    The hours are without those cells.
    """
    seconds = [planned.seconds for planned in cells if not planned.done]
    known = [s for s in seconds if s is not None]
    return sum(known) / 3600, len(seconds) - len(known)


def plan(
    shelf: Shelf, blocks: Sequence[Block], timed: Callable[[Cell], float | None] | None = None
) -> StudyPlan:
    """Return the plan of some blocks of a study.

    Args:
        shelf: where blocks are looked for.
        blocks: which.
        timed: a short timing of a missing cell of whose kind none is finished; where it is None or
            gives None, such cells' cost stays unknown.
    """
    paths = {block.name: shelf.find(block) for block in shelf.study.blocks()}
    there = [path for path in paths.values() if path is not None]
    known = measured_seconds(study_blocks.metadata(path) for path in there)
    missing = [cell for block in blocks if paths[block.name] is None for cell in block.cells]
    costs = estimated_seconds(missing, known, timed)
    cells = tuple(
        _planned(cell, paths[block.name] is not None, costs)
        for block in blocks
        for cell in block.cells
    )
    return StudyPlan(shelf.study, cells, sum(path.stat().st_size for path in there))


def _planned(cell: Cell, done: bool, costs: dict[Kind, tuple[float, bool]]) -> CellPlan:
    seconds, measured = (None, False) if done else costs.get(kind_of(cell), (None, False))
    return CellPlan(cell, done, seconds, measured)
