"""Mean 2-D spectra as small multiples, all on one colour scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from bench.board.build import Table
from bench.board.figures.rows import chosen, short
from bench.board.spectra import Extras

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CAPTION = (
    "Mean 2-D spectrum of the perturbations, zero frequency in the centre (left out), relative to "
    "white noise on a logarithmic scale that all panels share; circle: Nyquist."
)
DECADES = 2.0


def draw(table: Table, found: Mapping[str, Extras]) -> Figure | None:
    """Draw the mean spectrum of every model under the primary attack; None without any.

    Args:
        table: whose models.
        found: model name -> side file.
    """
    from matplotlib.figure import Figure

    primary = table.rules.primary
    rows = [r for r in chosen(table.rows, primary) if primary in found[r.model.name].maps]
    if not rows:
        return None
    columns = min(6, max(1, len(rows)))
    lines = -(-len(rows) // columns) or 1
    figure = Figure(
        figsize=(max(4.6, 1.62 * columns + 0.8), 1.95 * lines + 0.2), layout="constrained"
    )
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    shown = None
    for axis, row in zip(axes, rows, strict=False):
        values, n = found[row.model.name].maps[primary]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.log10(values * (values.size - 1))
        height, width = ratio.shape
        ratio[height // 2, width // 2] = np.nan
        shown = axis.imshow(
            ratio,
            cmap="RdBu_r",
            vmin=-DECADES,
            vmax=DECADES,
            extent=(-1, 1, 1, -1),
            interpolation="nearest",
        )
        angle = np.linspace(0, 2 * np.pi, 181)
        axis.plot(np.cos(angle), np.sin(angle), color="#333333", lw=0.5, alpha=0.6)
        axis.set_title(short(row), fontsize=6.4, fontweight="normal")
        axis.set_xlabel(f"n = {n}", fontsize=6.4, labelpad=1)
        axis.set(xticks=[], yticks=[])
        axis.grid(False)
        for side in axis.spines.values():
            side.set_visible(False)
    for axis in axes[len(rows) :]:
        axis.set_visible(False)
    if shown is not None:
        bar = figure.colorbar(shown, ax=list(axes), shrink=0.8, aspect=30, pad=0.01, extend="both")
        bar.set_ticks([-2, -1, 0, 1, 2], labels=["1/100", "1/10", "1", "10", "100"])
        bar.set_label("energy / white noise", fontsize=7.5)
        bar.ax.spines["outline"].set_visible(False)
    return figure
