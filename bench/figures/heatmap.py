"""The figure of Fourier heat maps: a map for each model, and profiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bench.figures.mark import Mark, colours
from bench.figures.style import REFERENCE, plain
from bench.stats.intervals import Interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 5
"""Maps in a line."""


@dataclass(frozen=True)
class Panel:
    """One model.

    Attributes:
        name, family, linear, control: of the model.
        values: (H, W) error of each mode, zero frequency in the middle; NaN: not measured.
        radius, profile: of the rings.
        white: error under white noise of the same norm.
    """

    name: str
    family: str
    linear: bool
    control: bool
    values: npt.NDArray[np.float64]
    radius: Sequence[float]
    profile: Sequence[Interval]
    white: float

    @property
    def mark(self) -> Mark:
        """How it is told apart."""
        return Mark(self.name, self.name, self.family, "", self.linear, self.control, False)


@dataclass(frozen=True)
class Drawn:
    """Heat maps of models and twins."""

    panels: Sequence[Panel]

    def draw(self) -> Figure:
        """Draw the maps, then the profiles."""
        from matplotlib.figure import Figure

        lines = -(-len(self.panels) // MOST)
        columns = min(MOST, len(self.panels))
        size = (2.6 * max(3, columns) + 1, 2.9 * lines + 3.2)
        figure = Figure(figsize=size, layout="constrained")
        halves = figure.subfigures(2, 1, height_ratios=[2.9 * lines, 3.2], squeeze=False)
        above, below = halves[0, 0], halves[1, 0]
        axes = above.subplots(lines, columns, squeeze=False).ravel()
        for axis, panel in zip(axes, self.panels, strict=False):
            shown = axis.imshow(_filled(panel.values), cmap="magma", vmin=0)
            above.colorbar(shown, ax=axis, shrink=0.75)
            axis.set_title(plain(panel.name), fontsize=7)
            axis.set(xticks=[], yticks=[])
            axis.grid(False)
        for axis in axes[len(self.panels) :]:
            axis.set_visible(False)
        axis = below.subplots()
        colour = colours(panel.mark for panel in self.panels)
        for panel in self.panels:
            mean = [v.mean for v in panel.profile]
            gaps = [[max(0.0, v.mean - v.low) for v in panel.profile],
                    [max(0.0, v.high - v.mean) for v in panel.profile]]  # fmt: skip
            mark = panel.mark
            axis.errorbar(
                panel.radius, mean, yerr=np.nan_to_num(gaps), color=colour[panel.family],
                ls=mark.dashes, marker=mark.marker, ms=3, lw=1.1, elinewidth=0.7,
                alpha=0.6 if panel.control else 1.0, label=plain(panel.name),
            )  # fmt: skip
            if not panel.control:
                axis.axhline(panel.white, **{**REFERENCE, "color": colour[panel.family]})
        axis.set(
            xlabel="radius (1 = Nyquist)", ylabel="share sent elsewhere", xlim=(0, math.sqrt(2))
        )
        tops = [v.high for panel in self.panels for v in panel.profile if not math.isnan(v.high)]
        axis.set_ylim(0, 1.3 * max(tops, default=0) or None)  # room for the legend
        axis.legend(fontsize=6.5, ncols=2)
        return figure


def _filled(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Fill cells that were not measured with the nearest that was, so that few points show."""
    if not np.isnan(values).any() or np.isnan(values).all():
        return values
    from scipy.ndimage import distance_transform_edt

    place = distance_transform_edt(np.isnan(values), return_distances=False, return_indices=True)
    result: npt.NDArray[np.float64] = values[tuple(place)]
    return result
