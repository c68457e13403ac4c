"""What cells cost: seconds of finished ones of the same kind, else a short timing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from statistics import fmean
from typing import Any

from bench.entries.study import Cell

Kind = tuple[tuple[str, str], ...]
"""Cells of one kind take about as long as each other."""
NO_MATTER = ("learning_rate", "data", "band", "slope", "data_seed")
"""Factors that hardly change the time."""


def kind_of(cell: Cell) -> Kind:
    """Return a cell's kind: its factors, but for those that hardly change the time."""
    factors = cell.factors.model_dump(mode="json")
    return tuple((k, str(v)) for k, v in sorted(factors.items()) if k not in NO_MATTER)


def measured_seconds(blocks: Iterable[Mapping[str, Any]]) -> dict[Kind, float]:
    """Return kind -> mean seconds of a cell, training and measuring.

    Args:
        blocks: metadata of finished blocks.
    """
    found: dict[Kind, dict[bool, list[float]]] = {}
    for block in blocks:
        for facts in block["cells"].values():
            if facts["diverged"] is not None:
                continue  # it ended early
            cell = Cell.model_validate_json(json.dumps(facts["cell"]))
            seconds = facts["seconds"]["train"] + facts["seconds"]["measure"]
            ways = found.setdefault(kind_of(cell), {})
            ways.setdefault(facts.get("through_map", False), []).append(seconds)
    # a linear net that was trained before it was trained through its map took several times longer
    return {kind: fmean(ways[max(ways)]) for kind, ways in found.items()}


def estimated_seconds(
    cells: Iterable[Cell],
    known: Mapping[Kind, float],
    timed: Callable[[Cell], float | None] | None,
) -> dict[Kind, tuple[float, bool]]:
    """Return kind -> (seconds of a cell, whether they were measured on finished cells).

    Args:
        cells: whose kinds are asked for.
        known: from `measured_seconds`.
        timed: a short timing of a kind that is not known, None where there is no time for it;
            such kinds are left out.
    """
    first: dict[Kind, Cell] = {}
    for cell in cells:
        first.setdefault(kind_of(cell), cell)
    found = {kind: (known[kind], True) for kind in first if kind in known}
    for kind, cell in first.items():
        if kind not in found and timed is not None and (seconds := timed(cell)) is not None:
            found[kind] = (seconds, False)
    return found
