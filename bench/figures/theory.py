"""The figure of a theory report: kernels, beta, product bound, R_BWC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.figures.style import OTHER_COLOURS, REFERENCE, panels, plain
from bench.grid import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"trained": "#0072B2", "untrained": "#999999"}


@dataclass(frozen=True)
class Theory:
    """What one report shows.

    Attributes:
        title: of the figure, any text.
        kernels: weights ("trained", "untrained") -> kappa off the low frequencies, first layer.
        bound, white: the exact constant, and the value of a flat spectrum.
        products: weights -> (bound, kappa) of the normalised product bound.
        beta: weights -> (r, power relative to a flat spectrum) of beta; empty with ReLUs.
        costs: predictor -> R_BWC / R_BWC(K = 1) for K = 1, 2, ...
    """

    title: str
    kernels: Mapping[str, Floats]
    bound: float
    white: float
    products: Mapping[str, tuple[Floats, Floats]]
    beta: Mapping[str, tuple[Floats, Floats]]
    costs: Mapping[str, Sequence[float]]

    def draw(self) -> Figure:
        """Draw the panels; those without data say so by their absence."""
        parts = [self._kernels, self._costs]
        parts += [self._products] if self.products else []
        parts += [self._beta] if self.beta else []
        figure, axes = panels(len(parts), 2, (4.4, 3.0), (0.2, 0.4))
        for axis, part in zip(axes, parts, strict=True):
            part(axis)
        figure.suptitle(plain(self.title), fontsize=9.5)
        return figure

    def _kernels(self, axis: Axes) -> None:
        bins = np.linspace(min(self.bound, 0.7) - 0.02, 1.0, 60).tolist()
        for name, values in self.kernels.items():
            there = values[~np.isnan(values)]
            weights = np.full(len(there), 1 / max(len(there), 1))
            axis.hist(there, bins=bins, weights=weights, color=COLOURS[name], alpha=0.6, label=name)
        axis.axvline(self.bound, color="#D55E00", lw=1.2, label="least possible on S alone")
        axis.axvline(self.white, label="flat spectrum", **REFERENCE)
        axis.set(xlabel="kappa off the low frequencies", ylabel="share of kernels")
        axis.set_title("First layer's kernels")
        axis.legend()

    def _products(self, axis: Axes) -> None:
        for name, (bound, kappa) in self.products.items():
            axis.scatter(bound, kappa, s=14, color=COLOURS[name], label=name)
        ends = [v for pair in self.products.values() for values in pair for v in values]
        low, high = min(ends) / 1.3, max(ends) * 1.3
        axis.plot([low, high], [low, high], label="the bound: all points below", **REFERENCE)
        axis.set(xscale="log", yscale="log", xlabel="product of kappa(Omega, M_l)")
        axis.set(ylabel="kappa(Omega, product)", title="Normalised product bound, by class")
        axis.legend()

    def _beta(self, axis: Axes) -> None:
        for name, (radius, power) in self.beta.items():
            axis.plot(radius, power, color=COLOURS[name], label=name)
        axis.axhline(1, label="flat spectrum", **REFERENCE)
        axis.set(yscale="log", xlabel="radius, Nyquist = 1", ylabel="power / flat")
        axis.set_title("beta, mean of the classes")
        axis.legend()

    def _costs(self, axis: Axes) -> None:
        for (name, values), colour in zip(self.costs.items(), OTHER_COLOURS, strict=False):
            style = "--" if name == "high wave" else "-"  # it lies on the lowest wave's line
            axis.plot(range(1, len(values) + 1), values, style, color=colour, label=name)
        axis.set(xlabel="kernel size K", ylabel="R_K / R_1")
        axis.set_title(f"R_BWC of one channel, D = {max(len(v) for v in self.costs.values())}")
        axis.legend(ncols=2)
