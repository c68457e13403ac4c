"""RFC of every model with its interval and its rank set, one line a model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.figures.mark import Mark, colours
from bench.figures.style import REFERENCE
from bench.stats.intervals import Interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CAPTION = (
    "Mean radial frequency (RFC) of each model's smallest perturbations, with 95 % intervals over "
    "images, for these weights; beside it n and, where it is ranked, the set of ranks that it may "
    "have (all hold together on 95 % of boards). Not a measure of robustness. Filled: ranked; "
    "hollow: not ranked; square: net without nonlinearity; x: untrained. Dashed line: white noise. "
    "Colours are families."
)


@dataclass(frozen=True)
class Line:
    """One model.

    Attributes:
        mark: the model.
        rfc: radial frequency centroid.
        n: kept samples.
        rank: its rank set in words; "" if it has none.
    """

    mark: Mark
    rfc: Interval
    n: int
    rank: str


@dataclass(frozen=True)
class Ranks:
    """Every model once, in the order of the board.

    Attributes:
        attack: whose perturbations.
        white: RFC of white noise.
        lines: at least one.
    """

    attack: str
    white: float
    lines: Sequence[Line]

    def draw(self) -> Figure:
        """Draw the models from top to bottom."""
        from matplotlib.figure import Figure

        palette = colours([line.mark for line in self.lines])
        count = len(self.lines)
        figure = Figure(figsize=(8.2, 0.2 * count + 0.95), layout="constrained")
        axis = figure.subplots()
        for place, line in enumerate(self.lines):
            colour, (mean, low, high) = palette[line.mark.family], line.rfc
            error = [[0.0], [0.0]] if math.isnan(low) else [[mean - low], [high - mean]]
            axis.errorbar(mean, place, xerr=error, fmt=line.mark.marker, color=colour,
                          markerfacecolor=colour if line.mark.ranked else "white",
                          markersize=5.5, elinewidth=2)  # fmt: skip
            beside = f"rank {line.rank}, n = {line.n}" if line.rank else f"n = {line.n}"
            axis.annotate(beside, (1.01, place), xycoords=("axes fraction", "data"), va="center",
                          fontsize=7, color="#555555")  # fmt: skip
        axis.axvline(self.white, **REFERENCE)
        axis.annotate(
            "white noise", (self.white, 1.0), xycoords=("data", "axes fraction"),
            xytext=(0, 3), textcoords="offset points", ha="center", fontsize=7,
        )  # fmt: skip
        axis.set_yticks(range(count), [line.mark.label for line in self.lines], fontsize=7.5)
        axis.set_ylim(count - 0.4, -0.6)
        axis.set_xlim(left=0)
        axis.grid(visible=False, axis="y")
        axis.set_xlabel(f"RFC under {self.attack} (1 = Nyquist)")
        return figure
