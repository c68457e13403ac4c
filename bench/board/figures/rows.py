"""What the figures read off a row of the board: names, colours, and which rows they show."""

from __future__ import annotations

from collections.abc import Sequence

from bench.board.build import Row
from bench.figures.style import FAMILY_COLOURS, OTHER_COLOURS, plain

MAX_MODELS = 24
"""Models in a figure; more can't be told apart."""


def meta(row: Row, key: str) -> str:
    """Return a name from a model's metadata, printable and short."""
    text = str(getattr(row.model.submission.metadata, key))
    return plain(text)


def colours(rows: Sequence[Row]) -> dict[str, str]:
    """Return family -> colour; the paper's four families always have theirs."""
    families = sorted({meta(row, "family") for row in rows})
    if all(name in FAMILY_COLOURS for name in families):
        return FAMILY_COLOURS
    return {name: OTHER_COLOURS[i % len(OTHER_COLOURS)] for i, name in enumerate(families)}


def is_linear(row: Row) -> bool:
    """Whether the model is one of the nets without a nonlinearity."""
    return row.model.submission.metadata.net.get("relu") is False


def short(row: Row) -> str:
    """Return the model's name without its data set; "untrained" for a control."""
    prefix = row.model.submission.rules.dataset.name + "-"
    name = row.model.name.removeprefix(prefix)
    return plain(name.replace("@random", " (untrained)").replace("@seed", ", seed "))


def chosen(rows: Sequence[Row], primary: str) -> list[Row]:
    """Return the rows that a figure shows: the first that have a spectrum."""
    return [row for row in rows if row.model.attacks[primary].kept > 0][:MAX_MODELS]
