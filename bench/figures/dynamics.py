"""RFC along training, against training loss, test accuracy and margin: a curve for each recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.figures.style import FAMILY_COLOURS, decimals
from bench.stats.bootstrap import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

UNLIKE_COLOURS = ("#6B6B6B", "#8C564B", "#E69F00", "#56B4E9", "#222222")
"""Of families beside the paper's four, like none of theirs."""
DASHES = ("-", "--", ":", "-.")
CAPTION = (
    "Mean RFC at every checkpoint but the untrained one, against the training loss, the test "
    "accuracy and the margin in the space of images (the median norm of the minimal "
    "perturbation); a line a seed, its last checkpoint as a point. Colour: family; dashes: "
    "learning rate."
)


@dataclass(frozen=True)
class Curve:
    """One seed of one recipe, at C checkpoints.

    Attributes:
        family: its colour.
        rate: its kind of line.
        loss, accuracy, norm, rfc: (C,).
    """

    family: str
    rate: float
    loss: Floats
    accuracy: Floats
    norm: Floats
    rfc: Floats


@dataclass(frozen=True)
class Dynamics:
    """Rows of panels.

    Attributes:
        rows: title and curves of each, at least one.
    """

    rows: Sequence[tuple[str, Sequence[Curve]]]

    def draw(self) -> Figure:
        """Draw a row of three panels for each kind of net."""
        from matplotlib.figure import Figure

        everything = [c for _, curves in self.rows for c in curves]
        rates = sorted({c.rate for c in everything}, reverse=True)
        names = sorted({c.family for c in everything})
        others = [n for n in names if n not in FAMILY_COLOURS]
        colour = {n: FAMILY_COLOURS.get(n, "") for n in names}
        colour |= {n: UNLIKE_COLOURS[i % len(UNLIKE_COLOURS)] for i, n in enumerate(others)}
        figure = Figure(figsize=(8.6, 2.7 * len(self.rows) + 0.6), layout="constrained")
        grid = figure.subplots(len(self.rows), 3, sharey="row", squeeze=False)
        for axes, (title, curves) in zip(grid, self.rows, strict=True):
            for curve in curves:
                style = DASHES[rates.index(curve.rate) % len(DASHES)]
                for axis, x in zip(axes, (curve.loss, curve.accuracy, curve.norm), strict=True):
                    tint = colour[curve.family]
                    axis.plot(x, curve.rfc, color=tint, ls=style, lw=1.0, alpha=0.8)
                    axis.plot(x[-1:], curve.rfc[-1:], "o", ms=3, color=tint)
            _axes(axes, title)
        _legend(figure, colour, rates)
        return figure


def _axes(axes: Sequence[Axes], title: str) -> None:
    axes[0].set_title(title, loc="left")
    axes[0].set(ylabel="RFC (1 = Nyquist)", xlabel="training loss", xscale="log")
    decimals(axes[0].xaxis)
    axes[0].invert_xaxis()
    axes[1].set_xlabel("test accuracy (%)")
    axes[2].set_xlabel("margin: median L2 norm of the perturbation")


def _legend(figure: Figure, colour: dict[str, str], rates: Sequence[float]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=tint, label=name) for name, tint in colour.items()]
    handles += [
        Line2D([], [], color="#555555", ls=DASHES[i % len(DASHES)], label=f"rate {rate:g}")
        for i, rate in enumerate(rates)
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=4)
