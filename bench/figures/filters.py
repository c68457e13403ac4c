"""The figure of filtered images and perturbations."""

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

BLUE, RED, GRAY = "#0072B2", "#D55E00", "#777777"


@dataclass(frozen=True)
class Panel:
    """One model: shares over the cutoffs.

    Attributes:
        name: of the model.
        cutoffs: r.
        image_low, image_high: right class of filtered images.
        low, high: success of filtered perturbations.
        white_low, white_high: the same of white noise.
    """

    name: str
    cutoffs: Sequence[float]
    image_low: Sequence[Interval]
    image_high: Sequence[Interval]
    low: Sequence[Interval]
    high: Sequence[Interval]
    white_low: Sequence[Interval]
    white_high: Sequence[Interval]


@dataclass(frozen=True)
class Drawn:
    """Filtered images and perturbations of models and twins."""

    panels: Sequence[Panel]

    def draw(self) -> Figure:
        """Draw a line of two panels for each model."""
        from matplotlib.figure import Figure

        lines = len(self.panels)
        figure = Figure(figsize=(8.6, 2.7 * lines + 0.3), layout="constrained")
        axes = figure.subplots(lines, 2, squeeze=False, sharex=True, sharey=True)
        for (left, right), panel in zip(axes, self.panels, strict=True):
            self._line(left, panel, panel.image_low, BLUE, "-", "low-passed")
            self._line(left, panel, panel.image_high, RED, "--", "high-passed")
            left.set(ylabel="right class", title=plain(f"{panel.name}: images"))
            self._line(right, panel, panel.low, BLUE, "-", "low-passed")
            self._line(right, panel, panel.high, RED, "--", "high-passed")
            self._line(right, panel, panel.white_low, GRAY, "-", "white noise, low-passed")
            self._line(right, panel, panel.white_high, GRAY, "--", "white noise, high-passed")
            right.set(ylabel="fooled", title=plain(f"{panel.name}: perturbations"))
        for axis in axes[-1]:
            axis.set(xlabel="cutoff r (1 = Nyquist)", xlim=(0, math.sqrt(2)), ylim=(-0.02, 1.02))
            axis.set_xticks([0, 0.5, 1, math.sqrt(2)], ["0", "0.5", "1", "√2"])
        for axis in axes[0]:
            axis.legend(fontsize=6.8)
        return figure

    def _line(
        self, axis: Axes, panel: Panel, found: Sequence[Interval], colour: str, dashes: str,
        label: str,
    ) -> None:  # fmt: skip
        axis.plot(panel.cutoffs, [f.mean for f in found], color=colour, ls=dashes, lw=1.3,
                  label=label)  # fmt: skip
        axis.fill_between(
            panel.cutoffs, [f.low for f in found], [f.high for f in found], color=colour,
            alpha=0.15, lw=0,
        )  # fmt: skip
