"""The figure of minimal distances by band."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.figures.mark import Mark, colours
from bench.figures.style import REFERENCE, decimals, plain
from bench.stats.intervals import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Curve:
    """One model; x are the mean radii of its bands."""

    name: str
    family: str
    linear: bool
    control: bool
    x: Sequence[float]
    over_all: Sequence[Interval]
    over_random: Sequence[Interval]
    clipped: Sequence[Interval]
    leak: Sequence[Interval]

    @property
    def mark(self) -> Mark:
        """How it is told apart."""
        return Mark(self.name, self.name, self.family, "", self.linear, self.control, False)


@dataclass(frozen=True)
class Drawn:
    """Minimal distances by band.

    Attributes:
        curves: models and twins.
        white: d / d(all) of white gradients, at the same radii as the first curve.
        width: of a band.
    """

    curves: Sequence[Curve]
    white: Sequence[float]
    width: float

    def draw(self) -> Figure:
        """Draw the panels."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(10.4, 4.6), layout="constrained")
        over, random, leak = figure.subplots(1, 3)
        self._lines(over, lambda c: c.over_all)
        over.plot(self.curves[0].x, self.white, **REFERENCE, label="white gradients")
        over.set(title="Distance / that of all frequencies", ylabel="d / d(all)", yscale="log")
        decimals(over.yaxis)
        self._lines(random, lambda c: c.over_random)
        random.set(title="Distance / random directions", ylabel="d / random", yscale="log")
        decimals(random.yaxis)
        self._lines(leak, lambda c: c.leak)
        leak.set(title="Leak through [0, 1]", ylabel="energy outside the band", ylim=(0, None))
        for axis in (over, random, leak):
            self._radii(axis)
        handles, labels = over.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=7)
        return figure

    def _lines(self, axis: Axes, values: Callable[[Curve], Sequence[Interval]]) -> None:
        colour = colours(curve.mark for curve in self.curves)
        for curve in self.curves:
            found = values(curve)
            mean = [v.mean for v in found]
            below = [_gap(v.mean, v.low) for v in found]
            above = [_gap(v.high, v.mean) for v in found]
            mark = curve.mark
            axis.errorbar(
                curve.x, mean, yerr=[below, above], color=colour[curve.family], ls=mark.dashes,
                lw=1.1, marker=mark.marker, ms=3.5, elinewidth=0.8, capsize=1.5,
                alpha=0.6 if curve.control else 1.0, label=plain(curve.name),
            )  # fmt: skip

    def _radii(self, axis: Axes) -> None:
        axis.set(xlabel="radius of the band (1 = Nyquist)", xlim=(0, math.sqrt(2)))
        axis.set_xticks([0, 0.5, 1, math.sqrt(2)], ["0", "0.5", "1", "√2"])


def _gap(high: float, low: float) -> float:
    return 0.0 if math.isnan(high - low) else max(0.0, high - low)
