"""How a model is told apart in a figure: label, colour of its family, kind of line and point."""

from __future__ import annotations

import hashlib
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
    """Return family -> colour; the paper's four families have theirs whoever else is there.

    Others choose by their name, so that a family has one colour on every board, and step aside
    for one another while there are colours left.
    """
    families = sorted({mark.family for mark in marks} - FAMILY_COLOURS.keys())
    found, free = dict(FAMILY_COLOURS), list(OTHER_COLOURS)
    for name in families:
        free = free or list(OTHER_COLOURS)
        first = int(hashlib.sha256(name.encode()).hexdigest(), 16) % len(OTHER_COLOURS)
        order = [OTHER_COLOURS[(first + i) % len(OTHER_COLOURS)] for i in range(len(OTHER_COLOURS))]
        found[name] = next(colour for colour in order if colour in free)
        free.remove(found[name])
    return found


def shade(colour: str, step: int) -> str:
    """Return a family's colour (step 0), then lighter and darker ones, for its further models."""
    level, target = (0.0, 0) if step == 0 else (0.5, 255) if step % 2 else (0.3, 0)
    parts = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(part + level * (target - part)):02x}" for part in parts)
