"""RFC against clean accuracy and against the median L2 norm."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.figures.mark import Mark, colours
from bench.figures.style import REFERENCE, decimals
from bench.stats.intervals import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CAPTION = (
    "RFC against clean accuracy (left) and against the median minimal norm (right), with 95 % "
    "intervals. Filled: ranked; hollow: not ranked; x: untrained (at chance, so only on the "
    "right). Dashed line: white noise. Colours are families."
)
GRAY = "#777777"
MOST_NAMES = 16


@dataclass(frozen=True)
class Point:
    """A model's numbers.

    Attributes:
        mark: the model.
        clean: clean accuracy, percent.
        norm: median norm of the perturbations.
        rfc: radial frequency centroid.
    """

    mark: Mark
    clean: Interval
    norm: Interval
    rfc: Interval


@dataclass(frozen=True)
class Scatter:
    """Every model once in each panel.

    Attributes:
        attack: whose perturbations.
        white: RFC of white noise.
        points: the models.
    """

    attack: str
    white: float
    points: Sequence[Point]

    def draw(self) -> Figure:
        """Draw both panels."""
        from matplotlib.figure import Figure

        marks = [point.mark for point in self.points]
        palette = colours(marks)
        figure = Figure(figsize=(8.2, 3.5), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        trained = [point for point in self.points if not point.mark.control] or self.points
        for point in trained:
            _point(left, point, point.clean, palette)
        for point in self.points:
            _point(right, point, point.norm, palette)
        _names(left, trained, lambda point: point.clean)
        for axis in (left, right):
            axis.axhline(self.white, **REFERENCE)
        left.set(xlabel="clean accuracy (%)", ylabel=f"RFC under {self.attack} (1 = Nyquist)")
        right.set(xlabel=f"median norm of {self.attack} ([0, 1] pixels)", xscale="log")
        decimals(right.xaxis)
        _legend(figure, marks, palette)
        return figure


def _point(axis: Axes, point: Point, x: Interval, palette: Mapping[str, str]) -> None:
    y = point.rfc
    if not math.isfinite(x.mean):
        return
    high = x.high if math.isfinite(x.high) else x.mean
    colour = palette[point.mark.family]
    axis.errorbar(
        x.mean,
        y.mean,
        xerr=[[x.mean - x.low], [high - x.mean]],
        yerr=[[y.mean - y.low], [y.high - y.mean]],
        fmt=point.mark.marker,
        color=colour,
        markerfacecolor=colour if point.mark.ranked else "white",
        markersize=5.5,
        elinewidth=0.9,
    )


def _names(axis: Axes, points: Sequence[Point], x: Callable[[Point], Interval]) -> None:
    """Name the ranked models, while there is room for names."""
    named = sorted((p for p in points if p.mark.ranked), key=lambda p: -p.rfc.mean)
    if not 0 < len(named) <= MOST_NAMES:
        return
    near = 0.12 * (named[0].rfc.mean - named[-1].rfc.mean)
    above = math.inf
    for point in named:
        place, y = (x(point).mean, point.rfc.mean), 4 if above - point.rfc.mean > near else -10
        above = point.rfc.mean
        axis.annotate(
            point.mark.label, place, xytext=(0, y), textcoords="offset points", ha="center",
            fontsize=6, color="#555555",
        )  # fmt: skip


def _legend(figure: Figure, marks: Sequence[Mark], palette: Mapping[str, str]) -> None:
    from matplotlib.lines import Line2D

    families = sorted({mark.family for mark in marks})[:12]
    kinds = [("o", palette[name], name) for name in families]
    kinds += [("s", GRAY, "linear net")] * any(mark.linear for mark in marks)
    kinds += [("x", GRAY, "untrained")] * any(mark.control for mark in marks)
    handles = [
        Line2D([], [], marker=marker, ls="", color=colour, label=label)
        for marker, colour, label in kinds
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=min(6, len(handles) or 1))
