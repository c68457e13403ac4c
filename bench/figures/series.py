"""A quantity along levels in order, as kernel sizes: a point a seed, a line through their means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.figures.style import OTHER_COLOURS
from bench.stats.bootstrap import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CAPTION = (
    "Mean RFC at the end of training, each net on the images that it keeps itself: a point a seed, "
    "a line through the means over seeds. Levels left of the dotted line take no part in the trend."
)


@dataclass(frozen=True)
class Line:
    """One recipe along the levels.

    Attributes:
        name: what tells it from the others of its panel.
        values: level -> (S,) one value a seed; a level that has not run has none.
    """

    name: str
    values: Sequence[Floats]


@dataclass(frozen=True)
class Series:
    """Panels side by side with the same levels.

    Attributes:
        axis: what the levels are.
        levels: their names, in order.
        aside: how many of them, from the first, take no part in what is read from the others.
        panels: title and lines of each.
    """

    axis: str
    levels: Sequence[str]
    aside: int
    panels: Sequence[tuple[str, Sequence[Line]]]

    def draw(self) -> Figure:
        """Draw the panels."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(1.2 + 3.6 * len(self.panels), 3.0), layout="constrained")
        grid = figure.subplots(1, len(self.panels), sharey="row", squeeze=False)[0]
        names = sorted({line.name for _, lines in self.panels for line in lines})
        for axes, (title, lines) in zip(grid, self.panels, strict=True):
            for line in lines:
                self._line(axes, line, OTHER_COLOURS[names.index(line.name) % len(OTHER_COLOURS)])
            axes.set_title(title, loc="left")
            axes.set_xticks(range(len(self.levels)), self.levels)
            axes.set_xlabel(self.axis)
            axes.legend(loc="best")
            if self.aside:
                axes.axvline(self.aside - 0.5, color="#888888", lw=0.8, ls=":")
        grid[0].set_ylabel("RFC (1 = Nyquist)")
        return figure

    def _line(self, axes: Axes, line: Line, colour: str) -> None:
        there = [place for place, values in enumerate(line.values) if len(values)]
        means = [float(np.mean(line.values[place])) for place in there]
        # with its gaps: a level that has not run is not bridged
        shown = np.full(len(self.levels), np.nan)
        shown[there] = means
        axes.plot(range(len(shown)), shown, "-", color=colour, lw=1.2, label=line.name)
        for place in there:
            values = line.values[place]
            axes.plot([place] * len(values), values, "o", ms=3, color=colour, alpha=0.7)
