"""The real Fourier modes of an image size, and which of them are measured. numpy only."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.grid import frequency_grid

EVERY = 32
"""Largest side at which every mode is measured."""
STRATA = 16
"""Rings of equal width in r that modes are averaged over before a slope is fitted."""
EACH = 16
"""Modes of a stratum where not all are measured."""


@dataclass(frozen=True)
class Modes:
    """Chosen modes; arrays are (M,).

    A mode is a frequency and its negative, of which the first in an FFT's order stands for both.

    Attributes:
        height, width: of the image.
        ky, kx: whole frequencies, signed.
        radius: in units of Nyquist.
        number: place among all modes of the size, which draws go by.
        stratum: 0 .. STRATA - 1.
        total: modes of the size.
    """

    height: int
    width: int
    ky: npt.NDArray[np.int64]
    kx: npt.NDArray[np.int64]
    radius: npt.NDArray[np.float64]
    number: npt.NDArray[np.int64]
    stratum: npt.NDArray[np.int64]
    total: int

    def __len__(self) -> int:
        return len(self.ky)

    def single(self) -> npt.NDArray[np.bool_]:
        """Return which modes are their own negative: DC and the Nyquist frequencies, (M,)."""
        found: npt.NDArray[np.bool_] = (2 * self.ky % self.height == 0) & (
            2 * self.kx % self.width == 0
        )
        return found


def modes(height: int, width: int, seed: int) -> Modes:
    """Return the modes of an image size: all up to EVERY pixels, else some of each stratum.

    Args:
        height, width: pixels.
        seed: of the choice.
    """
    place = np.arange(height * width)
    y, x = place // width, place % width
    other = (-y % height) * width + (-x % width)
    first = np.flatnonzero(place <= other)
    radius = frequency_grid(height, width).radius[first]
    stratum = np.minimum((radius / (math.sqrt(2) / STRATA)).astype(np.int64), STRATA - 1)
    chosen = np.arange(len(first))
    if max(height, width) > EVERY:
        draw = np.random.PCG64(seed).random_raw(len(first))
        some = []
        for ring in range(STRATA):
            here = np.flatnonzero(stratum == ring)
            some.append(here[np.argsort(draw[here], kind="stable")[:EACH]])
        chosen = np.sort(np.concatenate(some))
    ky = y[first] - height * (2 * y[first] > height)
    kx = x[first] - width * (2 * x[first] > width)
    return Modes(
        height, width, ky[chosen], kx[chosen], radius[chosen], chosen, stratum[chosen], len(first)
    )
