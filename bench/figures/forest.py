"""Differences with their intervals, one a line, around a band of differences that are none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.figures.style import plain
from bench.stats.intervals import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WAY_COLOURS = ("#0072B2", "#E69F00", "#D55E00", "#009E73", "#6B6B6B", "#B5539C")
CAPTION = (
    "Point: the difference. Thick line: the interval that the verdict rests on; thin line: "
    "intervals of this width hold together within and over all claims. A cross has no interval "
    "(fewer than three seeds). Gray: differences that count as none. A line that reaches the frame "
    "goes on beyond it; an arrowhead: so does the thick one."
)


@dataclass(frozen=True)
class Line:
    """One comparison.

    Attributes:
        label: what is compared.
        way: how; a colour each.
        own, together: its intervals; NaN bounds where there is none.
    """

    label: str
    way: str
    own: Interval
    together: Interval


@dataclass(frozen=True)
class Group:
    """Lines of one contrast.

    Attributes:
        title: what it is.
        smallest: differences nearer to 0 count as none; 0: no band.
        lines: at least one.
    """

    title: str
    smallest: float
    lines: Sequence[Line]


@dataclass(frozen=True)
class Forest:
    """A panel for each contrast.

    Attributes:
        axis: what the difference is of.
        groups: at least one.
    """

    axis: str
    groups: Sequence[Group]

    def draw(self) -> Figure:
        """Draw the panels below each other, on one scale."""
        from matplotlib.figure import Figure

        ways = list(dict.fromkeys(line.way for g in self.groups for line in g.lines))
        colour = {way: WAY_COLOURS[i % len(WAY_COLOURS)] for i, way in enumerate(ways)}
        counts = [len(g.lines) for g in self.groups]
        height = 0.19 * sum(counts) + 0.5 * len(counts) + 0.9
        figure = Figure(figsize=(7.4, height), layout="constrained")
        axes = figure.subplots(
            len(counts), 1, sharex=True, squeeze=False, height_ratios=[n + 1 for n in counts]
        ).ravel()
        for axis, group in zip(axes, self.groups, strict=True):
            _panel(axis, group, colour)
        axes[-1].set_xlabel(self.axis)
        limits = _limits(self.groups)
        axes[-1].set_xlim(*limits)
        for axis, group in zip(axes, self.groups, strict=True):
            _cut(axis, group, colour, limits)
        _legend(figure, colour)
        return figure


def _panel(axis: Axes, group: Group, colour: dict[str, str]) -> None:
    if group.smallest:
        axis.axvspan(-group.smallest, group.smallest, color="#e9e9e9", lw=0, zorder=0)
    axis.axvline(0, color="#444444", lw=0.8)
    for place, line in enumerate(group.lines):
        tint = colour[line.way]
        known = math.isfinite(line.own.low)
        if known:
            axis.plot(line.together[1:], [place, place], color=tint, lw=0.7)
            axis.plot(line.own[1:], [place, place], color=tint, lw=2.2, solid_capstyle="butt")
        axis.plot(line.own.mean, place, marker="o" if known else "x", ms=4, color=tint, ls="")
    labels: list[str] = []
    for line in group.lines:
        labels.append(plain(line.label) if line.label not in labels else line.label)
    shown = [
        label if place == 0 or label != labels[place - 1] else ""
        for place, label in enumerate(labels)
    ]
    axis.set_yticks(range(len(labels)), shown, fontsize=7)
    axis.set_ylim(len(labels) - 0.4, -0.6)
    axis.set_title(group.title, loc="left", fontsize=8)
    axis.grid(visible=False, axis="y")


def _cut(axis: Axes, group: Group, colour: dict[str, str], limits: tuple[float, float]) -> None:
    """Mark at the frame where an interval that a verdict rests on goes on beyond it."""
    for place, line in enumerate(group.lines):
        for end, bound, head, beyond in (
            (line.own.low, limits[0], "<", line.own.low < limits[0]),
            (line.own.high, limits[1], ">", line.own.high > limits[1]),
        ):
            if math.isfinite(end) and beyond:
                tint = colour[line.way]
                axis.plot(bound, place, head, ms=5, color=tint, clip_on=False, zorder=3)


def _limits(groups: Sequence[Group]) -> tuple[float, float]:
    """Return what the points need: an interval of three seeds may be ten times as wide."""
    means = [line.own.mean for g in groups for line in g.lines if math.isfinite(line.own.mean)]
    bands = [g.smallest for g in groups]
    ends = [e for g in groups for line in g.lines for e in line.own[1:] if math.isfinite(e)]
    low, high = min([0.0, *means]), max([0.0, *means])
    room = max(0.6 * (high - low), 1.6 * max(bands), 0.02)
    return max(low - room, min([low - max(bands), *ends]) - 0.01), min(
        high + room, max([high + max(bands), *ends]) + 0.01
    )


def _legend(figure: Figure, colour: dict[str, str]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=tint, lw=2.2, label=way) for way, tint in colour.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=min(3, len(handles)))
