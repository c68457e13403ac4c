"""The figure of a transfer function: gain, what ends elsewhere, and white noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.figures.style import REFERENCE, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, GREEN, RED, GRAY = "#0072B2", "#009E73", "#D55E00", "#777777"
FLOOR = 1e-6
"""Energy shares below are not drawn."""


@dataclass(frozen=True)
class Line:
    """Points (x, y) that belong together."""

    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True)
class Transfer:
    """A measured transfer function. Radii are in units of the output's Nyquist frequency.

    Attributes:
        title: of the figure, any text.
        scale: how much smaller the output is than the input, by axis.
        gain: three directions -> amplitude out / in, of the sinusoids that stay and of the folded.
        elsewhere: rounded and unrounded -> energy that ends at a wrong frequency / input energy.
        noise: rounded and unrounded -> power gain of white noise, 1: it passes unchanged.
    """

    title: str
    scale: tuple[float, float]
    gain: Mapping[str, tuple[Line, Line]]
    elsewhere: Mapping[str, Line]
    noise: Mapping[str, Line]

    def draw(self) -> Figure:
        """Draw the three panels."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9.6, 3.5), layout="constrained")
        gain, elsewhere, noise = figure.subplots(1, 3)
        self._gain(gain)
        self._elsewhere(elsewhere)
        self._noise(noise)
        figure.suptitle(plain(self.title), fontsize=9.5)
        return figure

    def _gain(self, axis: Axes) -> None:
        for (label, lines), colour in zip(self.gain.items(), (BLUE, GREEN, RED), strict=True):
            for line, marker, dashes in zip(lines, ".x", "-:", strict=True):
                axis.plot(line.x, line.y, color=colour, ls=dashes, lw=1.2, marker=marker, ms=4,
                          label=label if dashes == "-" else None)  # fmt: skip
        axis.plot([], [], color=GRAY, ls=":", marker="x", ms=4, label="folded (wrong frequency)")
        self._radii(axis)
        axis.set(title="Sinusoids", ylabel="amplitude out / in", ylim=(0, 1.08))
        axis.legend(loc="lower left", fontsize=6.8)

    def _elsewhere(self, axis: Axes) -> None:
        for (label, line), (colour, dashes) in zip(
            self.elsewhere.items(), ((BLUE, "-"), (GRAY, "--")), strict=True
        ):
            shown = [share if share > FLOOR else math.nan for share in line.y]
            axis.plot(line.x, shown, color=colour, ls=dashes, label=label)
        self._radii(axis)
        axis.set(title="Ends at a wrong frequency", ylabel="energy / input energy", yscale="log")
        axis.set_ylim(FLOOR, 1.5)
        axis.legend(loc="upper right", fontsize=6.8)

    def _noise(self, axis: Axes) -> None:
        for (label, line), (colour, dashes) in zip(
            self.noise.items(), ((BLUE, "-"), (GRAY, "--")), strict=True
        ):
            axis.plot(line.x, line.y, color=colour, ls=dashes, lw=1.2, label=label)
        axis.axhline(1, **REFERENCE)
        axis.set(title="White noise", ylabel="power gain (1: passes unchanged)")
        axis.set(
            xlabel="radius in the output (1 = Nyquist)", xlim=(0, math.sqrt(2)), ylim=(0, None)
        )
        axis.set_xticks([0, 0.5, 1, math.sqrt(2)], ["0", "0.5", "1", "√2"])
        axis.legend(loc="lower left", fontsize=6.8)

    def _radii(self, axis: Axes) -> None:
        """Label radii in units of the output's Nyquist below, of the input's above."""
        scale = math.sqrt(math.prod(self.scale))
        axis.set_xlabel("radius at the output's scale (1 = its Nyquist)")
        axis.set_xlim(0, math.sqrt(2) / min(self.scale) * 1.02)
        axis.axvline(1, **REFERENCE)

        def into(radius: Any) -> Any:
            return radius * scale

        def out(radius: Any) -> Any:
            return radius / scale

        above = axis.secondary_xaxis("top", functions=(into, out))
        above.set_xlabel("radius in the input (1 = its Nyquist)")
