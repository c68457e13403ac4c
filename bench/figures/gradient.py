"""The figure of gradient against attack."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bench.figures.style import REFERENCE, plain
from bench.stats.intervals import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"attack": "#D55E00", "margin": "#0072B2", "loss": "#009E73", "image": "#777777"}


@dataclass(frozen=True)
class Panel:
    """One model.

    Attributes:
        name: of the model.
        gradient, attack: (n,) centroids of the margin's gradient and of the perturbation.
        rho: their rank correlation.
        profiles: name -> share of energy in each band.
    """

    name: str
    gradient: npt.NDArray[np.float64]
    attack: npt.NDArray[np.float64]
    rho: Interval
    profiles: Mapping[str, Sequence[Interval]]


@dataclass(frozen=True)
class Drawn:
    """Gradient against attack, models and twins."""

    panels: Sequence[Panel]

    def draw(self) -> Figure:
        """Draw a line of two panels for each model."""
        from matplotlib.figure import Figure

        lines = len(self.panels)
        figure = Figure(figsize=(8.2, 3.1 * lines + 0.2), layout="constrained")
        for (left, right), panel in zip(
            figure.subplots(lines, 2, squeeze=False), self.panels, strict=True
        ):
            self._points(left, panel)
            self._profiles(right, panel)
        return figure

    def _points(self, axis: Axes, panel: Panel) -> None:
        axis.scatter(panel.gradient, panel.attack, s=9, color="#0072B2", alpha=0.6, lw=0)
        values = np.concatenate([panel.gradient, panel.attack, [0.3, 0.8]])
        ends = [float(np.nanmin(values)) - 0.02, float(np.nanmax(values)) + 0.02]
        axis.plot(ends, ends, **REFERENCE)
        rho = panel.rho
        text = f"{panel.name}: rho {rho.mean:.2f} [{rho.low:.2f}, {rho.high:.2f}]"
        axis.set(xlim=ends, ylim=ends, xlabel="RFC of the margin's gradient")
        axis.set(ylabel="RFC of the perturbation")
        axis.set_title(plain(text), fontsize=8)

    def _profiles(self, axis: Axes, panel: Panel) -> None:
        for name, found in panel.profiles.items():
            x = (np.arange(len(found)) + 0.5) * math.sqrt(2) / len(found)
            below = [max(0.0, f.mean - f.low) for f in found]
            above = [max(0.0, f.high - f.mean) for f in found]
            axis.errorbar(
                x, [f.mean for f in found], yerr=np.nan_to_num([below, above]), label=name,
                color=COLOURS[name], marker="o", ms=3, lw=1.1, elinewidth=0.7,
            )  # fmt: skip
        axis.set(xlabel="radius of the band (1 = Nyquist)", ylabel="share of energy")
        axis.set(xlim=(0, math.sqrt(2)), ylim=(0, None))
        axis.set_title(plain(panel.name), fontsize=8)
        axis.legend(fontsize=7)
