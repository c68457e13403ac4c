"""Is a mean map the mean of its rows' spectra? What follows from the definitions, no model needed.

A map is linear in the spectra, so its rings, its share above half of Nyquist and its share near
the axes are the means of the rows'. It is that of real perturbations, so it is symmetric about its
centre. Its entropy is at least the rows' mean entropy (entropy is concave).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.grid import BINS, frequency_grid, map_cells
from bench.submissions.check.rows import Array, Rows

LOOSE = 2e-3
"""Slack of means over float16 and float32 values."""


def map_problems(p: Array, rows: Rows, kept: Array) -> Iterator[str]:
    """Yield what was expected of a mean map and what was found.

    Args:
        p: (h, w) shares that sum to 1, fftshifted.
        rows: the result's rows.
        kept: (N,) the rows that it is the mean of, at least one.
    """
    height, width = rows.shape[1:]
    grid, cell = frequency_grid(height, width), map_cells(height, width)
    flat = p.ravel()
    exact = p.shape == (height, width)
    if exact:
        whole = np.fft.ifftshift(p)
        if whole[0, 0] > 1e-9:
            yield f"expected nothing at zero frequency, found {whole[0, 0]:.3g}"
        turned = np.roll(whole[::-1, ::-1], 1, axis=(0, 1))
        off = float(np.abs(whole - turned).max())
        if off > 1e-4 * float(p.max()):
            yield f"expected a map symmetric about its centre, found {off:.3g} between two halves"
    yield from _rings(flat, cell, rows, kept)
    for name, chosen in (("hfe", grid.high), ("axis_share", grid.near_axis)):
        mean = float(rows[name][kept].mean())
        low, high = _share(flat, cell, chosen)
        if not low - LOOSE <= mean <= high + LOOSE:
            found = f"{low:.4f}" if exact else f"{low:.4f} to {high:.4f}"
            yield f"expected the rows' mean {name} {mean:.4f}, found {found}"
    if exact:
        there = flat[flat > 0]
        entropy = float(-(there * np.log(there)).sum() / np.log(height * width - 1))
        mean = float(rows["entropy"][kept].mean())
        if entropy < mean - LOOSE:
            yield f"expected entropy of at least the rows' mean {mean:.4f}, found {entropy:.4f}"


def _share(flat: Array, cell: Array, chosen: Array) -> tuple[float, float]:
    """Return the least and the largest share that frequencies may have which share cells."""
    some = np.bincount(cell[1:], weights=chosen[1:], minlength=len(flat)) > 0
    others = np.bincount(cell[1:], weights=~chosen[1:], minlength=len(flat)) > 0
    return float(flat[some & ~others].sum()), float(flat[some].sum())


def _rings(flat: Array, cell: Array, rows: Rows, kept: Array) -> Iterator[str]:
    energy = rows["radial_energy"][kept]
    if np.isnan(energy).any():
        return
    told = energy.mean(axis=0).cumsum()
    bins = frequency_grid(*rows.shape[1:]).bin
    worst, place = 0.0, 0
    for number in range(BINS - 1):
        low, high = _share(flat, cell, bins <= number)
        off = max(low - told[number], told[number] - high)
        if off > worst:
            worst, place = off, number
    if worst > LOOSE:
        yield (
            f"expected the rows' mean radial_energy in rings 0 to {place}, found {worst:.4f} "
            "more or less"
        )
