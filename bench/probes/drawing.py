"""What the figure of a transfer function shows: means over orientations and phases."""

from __future__ import annotations

import math
from statistics import fmean

from bench.figures.transfer import Line, Transfer
from bench.probes.transfer import Response
from bench.results.transform import UNCHANGED

DIRECTIONS = {
    "along an axis": (0.0,),
    "22.5° off it": (22.5, 67.5),
    "diagonal": (45.0,),
}
"""Label -> angles (modulo 90 degrees) of the sinusoids that behave alike."""
ARITHMETIC = {"uint8": "8 bits, as evaluated", "float32": "without rounding"}


def drawing(response: Response, name: str, transform: str) -> Transfer:
    """Return the figure of a measured response.

    Args:
        response: what was measured.
        name: of the model.
        transform: in words.
    """
    width, height = response.geometry.input_size
    what = "images as stored" if transform == UNCHANGED else transform
    return Transfer(
        title=f"{name}: {what}, input {width} x {height} pixels",
        scale=response.geometry.scale,
        gain={
            label: (_gain(response, angles, False), _gain(response, angles, True))
            for label, angles in DIRECTIONS.items()
        },
        elsewhere={label: _elsewhere(response, kind) for kind, label in ARITHMETIC.items()},
        noise={
            f"{label}, RFC {response.noise_rfc[kind]:.3f}": _noise(response, kind)
            for kind, label in ARITHMETIC.items()
        },
    )


def _gain(response: Response, angles: tuple[float, ...], aliased: bool) -> Line:
    x, y = [], []
    for step in range(response.radii):
        here = [
            p
            for p in response.points
            if (p.arithmetic, p.step, p.aliased) == ("uint8", step, aliased)
            and round(p.angle % 90, 1) in angles
        ]
        if here:
            x.append(fmean(p.mapped_radius for p in here))
            y.append(fmean(p.gain for p in here))
    return Line(x, y)


def _elsewhere(response: Response, arithmetic: str) -> Line:
    points = [p for p in response.points if p.arithmetic == arithmetic]
    x, y = [], []
    for step in sorted({p.step for p in points}):
        here = [p for p in points if p.step == step]
        x.append(fmean(p.mapped_radius for p in here))
        y.append(fmean(p.elsewhere + p.aliased * p.gain**2 for p in here))
    return Line(x, y)


def _noise(response: Response, arithmetic: str) -> Line:
    area = math.prod(response.geometry.scale)
    rings = [r for r in response.rings if (r.grid, r.arithmetic) == ("ring", arithmetic)]
    return Line([r.output_radius for r in rings], [r.power / area for r in rings])
