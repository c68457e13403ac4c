"""How a model is told apart in a figure: label, colour of its family, kind of line and point."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bench.figures.style import FAMILY_COLOURS, OTHER_COLOURS


@dataclass(frozen=True)
class Mark:
    """What every figure shows of a model; the texts are plain.

    Attributes:
        name: the model's.
        label: short name.
        family, type: of its architecture.
        linear: a net without a nonlinearity.
        control: untrained.
        ranked: it has a rank.
    """

    name: str
    label: str
    family: str
    type: str
    linear: bool
    control: bool
    ranked: bool

    @property
    def dashes(self) -> str:
        """Its kind of line."""
        return ":" if self.control else "--" if self.linear else "-"

    @property
    def marker(self) -> str:
        """Its kind of point."""
        return "x" if self.control else "s" if self.linear else "o"


def colours(marks: Iterable[Mark]) -> Mapping[str, str]:
    """Return family -> colour; the paper's four families always have theirs."""
    families = sorted({mark.family for mark in marks})
    if all(name in FAMILY_COLOURS for name in families):
        return FAMILY_COLOURS
    return {name: OTHER_COLOURS[i % len(OTHER_COLOURS)] for i, name in enumerate(families)}
