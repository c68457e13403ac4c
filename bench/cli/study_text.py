"""What `bench study plan` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from bench.studies.plan import CellPlan, StudyPlan


def plan_lines(found: StudyPlan, every: bool) -> list[str]:
    """Return the lines of a plan.

    Args:
        found: the plan.
        every: with a line for each cell.
    """
    study = found.study
    lines = [f"{study.name}: {study.title}", ""]
    if study.known:
        lines += ["Known when it was written:", *(f"  - {text}" for text in study.known), ""]
    if study.deviations:
        lines += ["Otherwise than first written:", *(f"  - {t}" for t in study.deviations), ""]
    lines.append(f"{'group':<18} {'cells':>5} {'there':>5} {'hours left':>10}  what")
    for group in study.groups:
        cells = found.of(group.name)
        if cells:
            lines.append(_row(group.name, cells) + f"  {group.title}")
        if every:
            lines += [f"    {_cell(planned)}" for planned in cells]
    lines.append(_row("all", found.cells))
    lines += [
        "",
        f"{len(study.contrasts)} contrasts for {len(study.claims)} claims; finished blocks have "
        f"{found.bytes / 2**20:.1f} MiB.",
        "Hours of one process; ~: not all from finished cells, some steps were timed instead; "
        "?: not timed; >: more, since some are not timed.",
    ]
    unknown = unknown_kinds(found.cells)
    if unknown:
        lines.append(
            f"Not timed: {unknown} kinds of cells; more of them with --time and a larger --budget."
        )
    return lines


def agreement_lines(found: pd.DataFrame) -> list[str]:
    """Return the lines of `bench study compare`: a table and what it says.

    Args:
        found: see `bench.study_compare`.
    """
    from bench.board.tabular import tabular

    numbers = {"rfc": "RFC", "l2": "L2", "test_accuracy": "accuracy", "loss": "loss"}
    table = [
        {
            "cell": row["cell"],
            "other bits": row["other"] or f"{row['rows_differ']} of {row['rows']} rows",
            **{head: "-" if row["other"] else f"{row[key]:.1e}" for key, head in numbers.items()},
            "agrees": "yes" if row["agrees"] else "no",
        }
        for row in found.to_dict("records")
    ]
    agree = found[found["agrees"]]
    lines = [*tabular(table, left=("cell", "agrees")).splitlines(), ""]
    within = f", mean RFC to {agree['rfc'].max():.1e}" if len(agree) else ""
    return [*lines, f"{len(agree)} of {len(found)} cells agree{within}"]


def _row(name: str, cells: Sequence[CellPlan]) -> str:
    done = sum(planned.done for planned in cells)
    return f"{name:<18} {len(cells):>5} {done:>5} {_hours(cells):>10}"


def _hours(cells: Sequence[CellPlan]) -> str:
    from bench.studies.plan import hours_left

    hours, unknown = hours_left(cells)
    known = [p for p in cells if not p.done and p.seconds is not None]
    if unknown and not known:
        return "?"
    timed = any(not planned.measured for planned in known)
    return f"{'>' if unknown else ''}{'~' if timed else ''}{hours:.1f}"


def unknown_kinds(cells: Sequence[CellPlan]) -> int:
    """Return of how many kinds of cells it is not known how long they take."""
    from bench.studies.cost import kind_of

    return len({kind_of(p.cell) for p in cells if not p.done and p.seconds is None})


def _cell(planned: CellPlan) -> str:
    if planned.done:
        return f"{planned.cell.name}: there"
    if planned.seconds is None:
        return f"{planned.cell.name}: missing"
    about = "" if planned.measured else "~"
    return f"{planned.cell.name}: missing, {about}{planned.seconds:.0f} s"
