"""The frequency grid of an image size: radii, radial bins, masks, white noise. numpy only.

r is the radial frequency in units of Nyquist: 1 on the axes' edge, sqrt 2 in the corners. Arrays
are flat over H * W, in the order of an FFT, DC first. Radii are compared as whole numbers,
key = (kx H)^2 + (ky W)^2 with r = 2 sqrt(key) / (H W), so that no rounding moves a frequency over
a threshold or a bin's edge. Both halves use it: what measures (torch) and what reports.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

BINS = 64
"""Number of equal radial bins over r in [0, sqrt 2]; the last one is closed."""
BIN_WIDTH = math.sqrt(2) / BINS
"""Width of a radial bin in units of Nyquist."""


@dataclass(frozen=True)
class FrequencyGrid:
    """The frequencies of one image size; every array is (H*W,) and read-only.

    Attributes:
        radius: r.
        radii: (R,) the distinct radii, increasing.
        radius_index: index of r in `radii`.
        bin: radial bin of r, 0 .. 63.
        high: r > 0.5.
        outside_box: |ky| > H/8 or |kx| > W/8 (the paper's low-frequency box is the rest).
        near_axis: directions within 22.5 degrees of an axis, without DC.
    """

    radius: Floats
    radii: Floats
    radius_index: Ints
    bin: Ints
    high: Bools
    outside_box: Bools
    near_axis: Bools


@lru_cache(maxsize=32)
def frequency_grid(height: int, width: int) -> FrequencyGrid:
    """Return the frequency grid of an image size, pixels."""
    ky = np.rint(np.fft.fftfreq(height, 1 / height)).astype(np.int64)[:, None]
    kx = np.rint(np.fft.fftfreq(width, 1 / width)).astype(np.int64)[None, :]
    key = ((kx * height) ** 2 + (ky * width) ** 2).ravel()
    pixels = height * width
    distinct, index = np.unique(key, return_inverse=True)
    # the bin of r is floor(64 r / sqrt 2) = isqrt(8192 key / (H W)^2)
    bins = [min(BINS - 1, math.isqrt(8192 * int(k) // pixels**2)) for k in distinct]
    radii = 2.0 * np.sqrt(distinct.astype(np.float64)) / pixels
    angle = np.arctan2(np.abs(ky) / height, np.abs(kx) / width).ravel()
    near = np.minimum(angle, math.pi / 2 - angle) <= math.pi / 8
    grid = FrequencyGrid(
        radius=radii[index],
        radii=radii,
        radius_index=index.astype(np.int64),
        bin=np.array(bins, dtype=np.int64)[index],
        high=16 * key > pixels**2,
        outside_box=((8 * np.abs(ky) > height) | (8 * np.abs(kx) > width)).ravel(),
        near_axis=near & (key > 0),
    )
    for array in vars(grid).values():
        array.setflags(write=False)
    return grid


BANDS = 8
"""Number of bands (annuli of equal width in r) that the plane without DC is parted into."""


def band_numbers(height: int, width: int) -> Ints:
    """Return the band 1 .. 8 of each frequency, 0 at DC: (H*W,).

    Band k holds (k - 1) sqrt 2 / 8 <= r < k sqrt 2 / 8, the last one closed. A frequency and its
    negative have the same r, so every band's mask is Hermitian, for odd and even sizes.
    """
    bands = frequency_grid(height, width).bin // (BINS // BANDS) + 1
    bands[0] = 0
    return bands


def ring_counts(height: int, width: int) -> Ints:
    """Return how many frequencies lie in each of the 64 radial bins, DC among the first: (64,)."""
    return np.bincount(frequency_grid(height, width).bin, minlength=BINS)


def power_without_dc(images: npt.ArrayLike) -> Floats:
    """Return the power of each frequency, summed over channels, in an FFT's order.

    Args:
        images: (..., C, H, W).

    Returns:
        (..., H*W) of the unnormalised transform; 0 at DC, which says nothing of frequencies.
    """
    power = (np.abs(np.fft.fft2(np.asarray(images))) ** 2).sum(axis=-3)
    flat: Floats = power.reshape(*power.shape[:-2], -1)
    flat[..., 0] = 0
    return flat


def above_white(shares: Floats) -> Floats:
    """Return log10 of a spectrum (H, W) of shares over that of white noise; -inf where it is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: Floats = np.log10(shares * (shares.size - 1))
    return ratio


MAP_SIDE = 64
"""Largest side of a mean map; a larger image's frequencies share cells."""


@lru_cache(maxsize=32)
def map_cells(height: int, width: int) -> Ints:
    """Return the cell (flat, of the fftshifted map) that each frequency is summed into: (H*W,)."""
    cells = []
    for size in (height, width):
        cell = np.arange(size) * min(size, MAP_SIDE) // size
        cells.append(np.fft.ifftshift(cell))
    return (cells[0][:, None] * min(width, MAP_SIDE) + cells[1][None, :]).ravel()


@lru_cache(maxsize=32)
def map_rings(height: int, width: int) -> Ints:
    """Return the ring, one cell wide, of each cell of a mean map; -1 for the cell of DC: (h*w,)."""
    cell, radius = map_cells(height, width), frequency_grid(height, width).radius
    shape = min(height, MAP_SIDE), min(width, MAP_SIDE)
    count = np.bincount(cell, minlength=shape[0] * shape[1])
    mean = np.bincount(cell, weights=radius, minlength=len(count)) / count
    ring = np.rint(mean * min(shape) / 2).astype(np.int64)
    ring[cell[0]] = -1
    return ring


def white_noise(height: int, width: int) -> dict[str, float]:
    """Return the exact expected `rfc`, `hfe` and `axis_share` of white noise of a size."""
    grid, count = frequency_grid(height, width), height * width - 1
    return {
        "rfc": float(grid.radius.sum() / count),
        "hfe": float(grid.high.sum() / count),
        "axis_share": float(grid.near_axis.sum() / count),
    }
