"""Mean 2-D spectra as small multiples, all on one colour scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.figures.mark import Mark
from bench.figures.style import bare, panels
from bench.grid import Floats, above_white

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CAPTION = (
    "Mean 2-D spectrum of the perturbations, zero frequency in the centre (left out), relative to "
    "white noise on a logarithmic scale that all panels share; circle: Nyquist."
)
DECADES = 2.0


@dataclass(frozen=True)
class Maps:
    """The mean spectrum of every model.

    Attributes:
        models: at least one: shares (H, W) of each frequency, DC in the centre, and of how many
            samples.
    """

    models: Sequence[tuple[Mark, Floats, int]]

    def draw(self) -> Figure:
        """Draw a panel for each model."""
        figure, axes = panels(len(self.models), 6, (1.62, 1.95), (0.8, 0.2))
        for axis, (mark, values, n) in zip(axes, self.models, strict=True):
            ratio = above_white(values)
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
            axis.set_title(mark.label, fontsize=6.4, fontweight="normal")
            axis.set_xlabel(f"n = {n}", fontsize=6.4, labelpad=1)
            bare(axis)
        everywhere = figure.get_axes()
        bar = figure.colorbar(shown, ax=everywhere, shrink=0.8, aspect=30, pad=0.01, extend="both")
        bar.set_ticks([-2, -1, 0, 1, 2], labels=["1/100", "1/10", "1", "10", "100"])
        bar.set_label("energy / white noise", fontsize=7.5)
        bar.ax.spines["outline"].set_visible(False)
        return figure
