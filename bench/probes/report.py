"""What a probe says of measured models: tables of text, remarks, a figure. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.figures.style import Drawing


@dataclass(frozen=True)
class Part:
    """One table of text with what a reader must know beside it."""

    caption: str
    rows: Sequence[Mapping[str, str]]
    notes: str


@dataclass(frozen=True)
class Report:
    """What a probe says.

    Attributes:
        title: of the whole.
        parts: tables of each model.
        together: tables of all models together; none for a single one.
        brief: one line a model, for a board.
        brief_note: what a reader must know of it.
        drawing: the figure.
        figure: what the figure shows, a sentence or two.
    """

    title: str
    parts: Sequence[Part]
    drawing: Drawing
    figure: str
    together: Sequence[Part] = ()
    brief: Sequence[Mapping[str, str]] = ()
    brief_note: str = ""
