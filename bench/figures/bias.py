"""The bias of nets on planted data: where they look although the signal lies elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.figures.style import FAMILY_COLOURS, OTHER_COLOURS
from bench.stats.intervals import Interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CAPTION = (
    "RFC of a net's minimal perturbations minus that of the best classifier there can be, on "
    "the same images, against the radius of the band that tells the classes apart; the lower "
    "row of each pair: how far the test accuracy is below the optimum's. Bars: 95 % over seeds "
    "(data drawn anew for each, so that they carry the error of images too), each by itself; "
    "points without a bar have fewer than three seeds."
)


@dataclass(frozen=True)
class Series:
    """One family's biases.

    Attributes:
        family: its colour.
        bands: radii.
        bias: RFC minus the optimum's, one a band.
        lost: accuracy below the optimum's, points of percent.
    """

    family: str
    bands: Sequence[float]
    bias: Sequence[Interval]
    lost: Sequence[float]


@dataclass(frozen=True)
class Bias:
    """Panels: kinds of nets down, training-set sizes across.

    Attributes:
        kinds: names of the rows ("linear, rate 0.005").
        counts: names of the columns ("8000 images").
        panels: (kind, count) -> series, absent where nothing is measured.
    """

    kinds: Sequence[str]
    counts: Sequence[str]
    panels: dict[tuple[str, str], Sequence[Series]]

    def draw(self) -> Figure:
        """Draw a pair of rows for each kind: bias, and accuracy lost."""
        from matplotlib.figure import Figure

        across, down = len(self.counts), 2 * len(self.kinds)
        size = (2.6 * across + 1.2, 3.2 * len(self.kinds) + 0.7)
        figure = Figure(figsize=size, layout="constrained")
        ratios = [2.2, 1] * len(self.kinds)
        grid = figure.subplots(
            down, across, sharex=True, sharey="row", squeeze=False, height_ratios=ratios
        )
        families = sorted({s.family for p in self.panels.values() for s in p})
        colour = {
            f: FAMILY_COLOURS.get(f, OTHER_COLOURS[i % len(OTHER_COLOURS)])
            for i, f in enumerate(families)
        }
        for i, kind in enumerate(self.kinds):
            for j, count in enumerate(self.counts):
                above, below = grid[2 * i][j], grid[2 * i + 1][j]
                above.axhline(0, color="#444444", lw=0.9)
                above.set_title(f"{kind}, {count}", loc="left", fontsize=7.5)
                for place, series in enumerate(self.panels.get((kind, count), ())):
                    _one(above, below, series, colour[series.family], place)
            grid[2 * i][0].set_ylabel("bias (RFC)")
            grid[2 * i + 1][0].set_ylabel("accuracy\nlost (points)", fontsize=7)
        figure.supxlabel("band that tells the classes apart (1 = Nyquist)", fontsize=8.5)
        _legend(figure, colour)
        return figure


def _one(above: object, below: object, series: Series, tint: str, place: int) -> None:
    from matplotlib.axes import Axes

    assert isinstance(above, Axes)
    assert isinstance(below, Axes)
    x = [band + 0.012 * (place - 1.5) for band in series.bands]
    means = [found.mean for found in series.bias]
    errors = [0 if found.low != found.low else found.high - found.mean for found in series.bias]
    above.errorbar(x, means, yerr=errors, color=tint, marker="o", ms=3, lw=1.2, elinewidth=0.8)
    below.plot(x, series.lost, color=tint, marker="o", ms=2.5, lw=1.0)


def _legend(figure: Figure, colour: dict[str, str]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=tint, marker="o", label=f) for f, tint in colour.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=min(5, len(handles) or 1))
