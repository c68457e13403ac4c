"""The rows of one cell of a study's block: which there must be, and which numbers go together."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.entries import registry
from bench.entries.study import Cell
from bench.grid import frequency_grid
from bench.results.columns import Columns
from bench.results.schema import STATUSES
from bench.results.study_blocks import BITS
from bench.results.study_metadata import CellFacts, Point
from bench.submissions.check.problems import Findings

REMAKE = "run it again with `bench study run` and `bench study submit`"
ROUNDING = 2.0**-BITS
"""Relative, of the numbers in a block."""
MEASURED = ("l2", "rfc", "hfe", "f50", "dc_share", "windowed_rfc")
"""Of the perturbation."""

Bools = npt.NDArray[np.bool_]


def check_cell_rows(
    cell: Cell, facts: CellFacts, rows: Columns, here: Bools, findings: Findings
) -> None:
    """Check one cell's rows.

    Args:
        cell: of the registry's study.
        facts: what its metadata say; they were checked.
        rows: of the block.
        here: (N,) which of them are the cell's.
        findings: gets what is wrong.
    """
    if not _whole(cell, facts, rows, here, findings):
        return
    known = np.isin(rows["status"].astype(str), STATUSES)
    findings.rows(here & ~known, "a known status", rows["status"], REMAKE)
    side = cell.factors.image_size
    size = side or registry.dataset(cell.factors.dataset).size
    channels = cell.factors.channels or registry.dataset(cell.factors.dataset).channels
    ok = here & (rows["status"] == "ok")
    for name in MEASURED:
        findings.rows(ok & np.isnan(rows[name]), f"{name} of a perturbation", None, REMAKE)
    _ranges(rows, here, math.sqrt(channels * size * size), findings)
    _together(rows, ok, size, findings)
    free = np.isnan(rows["free_rfc"])
    if facts.diverged is not None:  # weights on the way to infinity have no finite closed form
        free &= ok
    findings.rows(
        here & (free if facts.affine else ~free),
        "free_rfc of affine nets, and only of them",
        None,
        REMAKE,
    )
    for point in facts.points:
        _accuracy(point, facts.test.count, rows, here, findings)


def _whole(cell: Cell, facts: CellFacts, rows: Columns, here: Bools, findings: Findings) -> bool:
    """Check that every checkpoint has its samples, once, in order, and nothing else."""
    found = np.stack([rows["epoch"][here], rows["sample_id"][here]], axis=1)
    counts = {p.epoch: min(cell.samples_at(p.epoch), facts.test.count) for p in facts.points}
    wanted = [(epoch, i) for epoch, count in counts.items() for i in range(count)]
    if found.shape != (len(wanted), 2) or not np.array_equal(found, np.asarray(wanted)):
        text = f"expected {cell.name}'s samples 0, 1, ... after each checkpoint, found others"
        findings.add("rows", text, REMAKE)
        return False
    wrong = here & (rows["attack"] != cell.attack)
    return not findings.rows(wrong, f"attack {cell.attack}", rows["attack"], REMAKE)


def _ranges(rows: Columns, here: Bools, longest: float, findings: Findings) -> None:
    corner = math.sqrt(2) * (1 + ROUNDING)
    for name, low, high in (
        ("l2", 0.0, longest),
        ("rfc", 0.0, corner),
        ("hfe", 0.0, 1.0),
        ("f50", 0.0, corner),
        ("dc_share", 0.0, 1.0),
        ("grad_rfc", 0.0, corner),
        ("margin", 0.0, math.inf),
        ("windowed_rfc", 0.0, corner),
        ("free_rfc", 0.0, corner),
    ):
        values = rows[name]
        bad = here & ~np.isnan(values) & ~((values >= low) & (values <= high))
        findings.rows(bad, f"{name} from {low:g} to {high:g}", values, REMAKE)


def _together(rows: Columns, ok: Bools, size: int, findings: Findings) -> None:
    """Check what holds between the numbers of one spectrum."""
    rfc, hfe, f50 = rows["rfc"], rows["hfe"], rows["f50"]
    with np.errstate(invalid="ignore"):
        low = 0.5 * hfe * (1 - 4 * ROUNDING) - 1e-6
        high = (0.5 * (1 - hfe) + math.sqrt(2) * hfe) * (1 + 4 * ROUNDING) + 1e-3
        bad = ok & ~((rfc >= low) & (rfc <= high))
        findings.rows(bad, "an rfc that its hfe allows", rfc, REMAKE)
        clear = np.abs(hfe - 0.5) > 1e-3
        half = ok & clear & ((f50 > 0.5) != (hfe > 0.5))
        findings.rows(half, "f50 on the side of 0.5 that hfe says", f50, REMAKE)
    radii = np.asarray(frequency_grid(size, size).radii)
    nearest = _nearest(radii, np.where(np.isnan(f50), 0.0, f50))
    off = ok & (np.abs(nearest - f50) > 2 * ROUNDING * nearest + 1e-9)
    findings.rows(off, "an f50 that is a radius of the grid", f50, REMAKE)


def _nearest(radii: Any, values: Any) -> Any:
    """Return the radius that is next to each value; radii increase."""
    place = np.clip(np.searchsorted(radii, values), 1, len(radii) - 1)
    below, above = radii[place - 1], radii[place]
    return np.where(values - below < above - values, below, above)


def _accuracy(point: Point, count: int, rows: Columns, here: Bools, findings: Findings) -> None:
    """Check that no more samples are correct, or wrong, than in the whole test split."""
    some = here & (rows["epoch"] == point.epoch)
    right = int(rows["clean_correct"][some].sum())
    total = round(point.test_accuracy / 100 * count)
    slack = 1 + count // 1000
    if right > total + slack or int(some.sum()) - right > count - total + slack:
        text = (
            f"expected correct classes as test accuracy {point.test_accuracy:.2f} % allows, found "
            f"{right} of {int(some.sum())} after epoch {point.epoch}"
        )
        findings.add("rows", text, REMAKE)
