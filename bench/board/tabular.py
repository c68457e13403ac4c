"""Rows as a table of text; the one home of tabulate. Cells are shown as they are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tabulate import tabulate


def tabular(
    rows: Sequence[Mapping[str, object]],
    form: str = "simple",
    *,
    left: Sequence[str] | None = None,
) -> str:
    """Return a table with the keys of the rows as its head.

    Args:
        rows: with the same keys; one a line.
        form: "simple", or Markdown as "github" or "pipe".
        left: columns that are set to the left, the others to the right; None: all to the left.
    """
    keys = list(rows[0]) if rows else []
    align = None if left is None else ["left" if key in left else "right" for key in keys]
    return tabulate(rows, headers="keys", tablefmt=form, disable_numparse=True, colalign=align)
