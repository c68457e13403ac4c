"""The figure of a transfer function: gain, what ends elsewhere, and white noise."""

from __future__ import annotations

import math
from statistics import fmean
from typing import TYPE_CHECKING, Any

from bench.figures.style import plain
from bench.probes.transfer import Response
from bench.results.transform import UNCHANGED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, RED, GRAY = "#0072B2", "#D55E00", "#777777"
DIRECTIONS = (
    ("along an axis", BLUE, (0.0,)),
    ("22.5° off it", "#009E73", (22.5, 67.5)),
    ("diagonal", RED, (45.0,)),
)
"""Label, colour and angles (modulo 90 degrees) of the sinusoids that behave alike."""
FLOOR = 1e-6
"""Energy shares below are not drawn."""


def draw(response: Response, name: str, transform: str) -> Figure:
    """Draw a measured response.

    Args:
        response: what was measured.
        name: of the model.
        transform: in words.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 3.5), layout="constrained")
    gain, elsewhere, noise = figure.subplots(1, 3)
    _gain(gain, response)
    _elsewhere(elsewhere, response)
    _noise(noise, response)
    width, height = response.geometry.input_size
    what = "images as stored" if transform == UNCHANGED else plain(transform)
    figure.suptitle(f"{plain(name)}: {what}, input {width} x {height} pixels", fontsize=9.5)
    return figure


def _gain(axis: Axes, response: Response) -> None:
    points = [p for p in response.points if p.arithmetic == "uint8"]
    for label, colour, angles in DIRECTIONS:
        for aliased in (False, True):
            x, y = [], []
            for step in range(response.radii):
                here = [p for p in points if (p.step, p.aliased) == (step, aliased)]
                here = [p for p in here if round(p.angle % 90, 1) in angles]
                if here:
                    x.append(fmean(p.mapped_radius for p in here))
                    y.append(fmean(p.gain for p in here))
            marker, dashes = ("x", ":") if aliased else (".", "-")
            axis.plot(x, y, color=colour, ls=dashes, lw=1.2, marker=marker, ms=4,
                      label=None if aliased else label)  # fmt: skip
    axis.plot([], [], color=GRAY, ls=":", marker="x", ms=4, label="folded (wrong frequency)")
    _radii(axis, response)
    axis.set(title="Sinusoids", ylabel="amplitude out / in", ylim=(0, 1.08))
    axis.legend(loc="lower left", fontsize=6.8)


def _elsewhere(axis: Axes, response: Response) -> None:
    for name, colour, dashes in (("uint8", BLUE, "-"), ("float32", GRAY, "--")):
        points = [p for p in response.points if p.arithmetic == name]
        mapped, share = [], []
        for step in sorted({p.step for p in points}):
            here = [p for p in points if p.step == step]
            mapped.append(fmean(p.mapped_radius for p in here))
            wrong = fmean(p.elsewhere + p.aliased * p.gain**2 for p in here)
            share.append(wrong if wrong > FLOOR else math.nan)
        label = "8 bits, as evaluated" if name == "uint8" else "without rounding"
        axis.plot(mapped, share, color=colour, ls=dashes, label=label)
    _radii(axis, response)
    axis.set(title="Ends at a wrong frequency", ylabel="energy / input energy", yscale="log")
    axis.set_ylim(FLOOR, 1.5)
    axis.legend(loc="upper right", fontsize=6.8)


def _noise(axis: Axes, response: Response) -> None:
    area = math.prod(response.geometry.scale)
    for name, colour, dashes in (("uint8", BLUE, "-"), ("float32", GRAY, "--")):
        rings = [r for r in response.rings if r.grid == "ring" and r.arithmetic == name]
        label = "8 bits, as evaluated" if name == "uint8" else "without rounding"
        axis.plot(
            [r.output_radius for r in rings],
            [r.power / area for r in rings],
            color=colour,
            ls=dashes,
            lw=1.2,
            label=f"{label}, RFC {response.noise_rfc[name]:.3f}",
        )
    axis.axhline(1, color="#444444", lw=0.9, ls=(0, (4, 3)))
    axis.set(title="White noise", ylabel="power gain (1: passes unchanged)")
    axis.set(xlabel="radius in the output (1 = Nyquist)", xlim=(0, math.sqrt(2)), ylim=(0, None))
    axis.set_xticks([0, 0.5, 1, math.sqrt(2)], ["0", "0.5", "1", "√2"])
    axis.legend(loc="lower left", fontsize=6.8)


def _radii(axis: Axes, response: Response) -> None:
    """Label radii in units of the output's Nyquist below, of the input's above."""
    scale = math.sqrt(math.prod(response.geometry.scale))
    axis.set_xlabel("radius at the output's scale (1 = its Nyquist)")
    axis.set_xlim(0, math.sqrt(2) / min(response.geometry.scale) * 1.02)
    axis.axvline(1, color="#444444", lw=0.9, ls=(0, (4, 3)))

    def into(radius: Any) -> Any:
        return radius * scale

    def out(radius: Any) -> Any:
        return radius / scale

    above = axis.secondary_xaxis("top", functions=(into, out))
    above.set_xlabel("radius in the input (1 = its Nyquist)")
