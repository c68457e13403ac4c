"""RFC against clean accuracy and against the median L2 norm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.board.build import Row, Table
from bench.board.figures.rows import colours, is_linear, meta
from bench.figures.style import decimals
from bench.grid import white_noise
from bench.stats.intervals import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CAPTION = (
    "RFC against clean accuracy (left) and against the median minimal norm (right), with 95 % "
    "intervals. Filled: ranked; hollow: not ranked; x: untrained (at chance, so only on the "
    "right). Dashed line: white noise."
)


def draw(table: Table) -> Figure:
    """Draw every model once in each panel."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    primary = table.rules.primary
    rows = [row for row in table.rows if row.model.attacks[primary].kept > 0][:400]
    palette = colours(rows)
    figure = Figure(figsize=(8.2, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    clean = [Interval(*(100 * v for v in row.model.clean)) for row in rows]
    norm = [row.model.attacks[primary].norm for row in rows]
    trained = [i for i, row in enumerate(rows) if not row.model.control] or range(len(rows))
    _points(left, [rows[i] for i in trained], [clean[i] for i in trained], primary, palette)
    _points(right, rows, norm, primary, palette)
    for axis in (left, right):
        axis.axhline(white_noise(*table.size)["rfc"], color="#444444", lw=0.9, ls=(0, (4, 3)))
    left.set(xlabel="clean accuracy (%)", ylabel=f"RFC under {primary} (1 = Nyquist)")
    right.set(xlabel=f"median norm of {primary} ([0, 1] pixels)", xscale="log")
    decimals(right.xaxis)
    families = sorted({meta(row, "family") for row in rows})
    handles = [
        Line2D([], [], marker="o", ls="", color=palette[name], label=name) for name in families[:12]
    ]
    handles += [Line2D([], [], marker="s", ls="", color="#777777", label="linear net")] * any(
        is_linear(row) for row in rows
    )
    handles += [Line2D([], [], marker="x", ls="", color="#777777", label="untrained")] * any(
        row.model.control for row in rows
    )
    figure.legend(handles=handles, loc="outside upper center", ncols=min(6, len(handles) or 1))
    return figure


def _points(
    axis: Axes,
    rows: Sequence[Row],
    across: Sequence[Interval],
    primary: str,
    palette: dict[str, str],
) -> None:
    for row, x in zip(rows, across, strict=True):
        y = row.model.attacks[primary].rfc
        if not math.isfinite(x.mean):
            continue
        high = x.high if math.isfinite(x.high) else x.mean
        colour = palette[meta(row, "family")]
        axis.errorbar(
            x.mean,
            y.mean,
            xerr=[[x.mean - x.low], [high - x.mean]],
            yerr=[[y.mean - y.low], [y.high - y.mean]],
            fmt="x" if row.model.control else "s" if is_linear(row) else "o",
            color=colour,
            markerfacecolor=colour if row.rank else "white",
            markersize=5.5,
            elinewidth=0.9,
        )
