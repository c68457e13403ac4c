"""Where an image transform puts each pixel, found out from what it does to test images."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.errors import BenchError

Planes = npt.NDArray[np.float64]
"""Gray images, (P, H, W), values in [0, 255]."""

Apply = Callable[[Planes], Planes]
"""A transform of images of one size: (P, H, W) -> (P, h, w), both in [0, 255]."""

KERNEL_RADIUS = 3
"""Largest half-width of a resampling kernel (Lanczos), in pixels of the coarser side."""

MIN_WINDOW = 8
"""Output pixels a side below which no frequency can be told from another."""


@dataclass(frozen=True)
class Geometry:
    """An axis-parallel map from input to output pixels; pairs are (x, y).

    Attributes:
        input_size: (W, H) of the input, pixels.
        output_size: (w, h) of the output, pixels.
        resized: (x, y) size that the whole input is resized to, before it is cropped.
        origin: input coordinate of the centre of output pixel (0, 0); pixel i has centre i.
        start: first output pixel that shows the input (padding does not).
        stop: one past the last.
    """

    input_size: tuple[int, int]
    output_size: tuple[int, int]
    resized: tuple[int, int]
    origin: tuple[float, float]
    start: tuple[int, int]
    stop: tuple[int, int]

    @property
    def scale(self) -> tuple[float, float]:
        """Output pixels for one input pixel."""
        x, y = (r / n for r, n in zip(self.resized, self.input_size, strict=True))
        return x, y

    def inner(self) -> tuple[slice, slice]:
        """Return the (rows, columns) of the output whose kernels lie inside the input."""
        found = []
        for place, scale in enumerate(self.scale):
            margin = 0 if scale == 1 else math.ceil(KERNEL_RADIUS * max(1.0, scale)) + 1
            found.append(slice(self.start[place] + margin, self.stop[place] - margin))
        return found[1], found[0]

    def source(self) -> tuple[slice, slice]:
        """Return the (rows, columns) of the input that :meth:`inner` shows."""
        found = []
        places = zip(reversed(self.inner()), self.origin, self.scale, self.input_size, strict=True)
        for part, origin, scale, size in places:
            first = round(origin + part.start / scale)
            count = round((part.stop - part.start) / scale)
            found.append(slice(max(0, first), min(size, first + count)))
        return found[1], found[0]


def geometry(apply: Apply, input_size: tuple[int, int]) -> Geometry:
    """Find out where a transform puts the input: two flat images and two ramps.

    Args:
        apply: the transform, without rounding.
        input_size: (W, H), pixels.

    Raises:
        BenchError: too little of the input is left to measure on.
    """
    width, height = input_size
    flat = apply(np.stack([np.full((height, width), v) for v in (64.0, 192.0)]))
    shown = np.abs(flat[1] - flat[0] - 128) < 1e-2
    start, stop = [], []
    for axis in (0, 1):
        there = np.flatnonzero(shown.any(axis=axis))
        start.append(int(there[0]) if len(there) else 0)
        stop.append(int(there[-1]) + 1 if len(there) else 0)
    x, y = np.arange(width) / max(1, width - 1), np.arange(height) / max(1, height - 1)
    ramps = apply(255 * np.stack(np.broadcast_arrays(x[None, :], y[:, None])))
    resized, origin = [], []
    for place, size in enumerate(input_size):
        if stop[place] - start[place] < MIN_WINDOW:
            raise _too_little(input_size, (stop[place] - start[place]))
        inside = ramps[place][start[1] : stop[1], start[0] : stop[0]].mean(axis=place)
        step, first = _line(inside * max(1, size - 1) / 255, start[place])
        resized.append(round(size / step))
        origin.append(first)
    found = Geometry(
        input_size=input_size,
        output_size=(flat.shape[2], flat.shape[1]),
        resized=(resized[0], resized[1]),
        origin=(origin[0], origin[1]),
        start=(start[0], start[1]),
        stop=(stop[0], stop[1]),
    )
    rows, columns = found.inner()
    smallest = min(rows.stop - rows.start, columns.stop - columns.start)
    if smallest < MIN_WINDOW:
        raise _too_little(input_size, smallest)
    return found


def _line(coordinates: npt.NDArray[np.float64], first: int) -> tuple[float, float]:
    """Fit input coordinate = origin + step * output pixel, away from the edges; return both."""
    place = first + np.arange(len(coordinates))
    edge = len(coordinates) // 8
    inside = slice(edge, len(coordinates) - edge)
    step, origin = np.polyfit(place[inside], coordinates[inside], 1)
    return float(step), float(origin)


def _too_little(input_size: tuple[int, int], pixels: int) -> BenchError:
    return BenchError(
        f"expected an input image that leaves {MIN_WINDOW} pixels a side to measure on, got "
        f"{input_size[0]}x{input_size[1]}, which leaves {max(0, pixels)}; choose another "
        "--input-size"
    )
