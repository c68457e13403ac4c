"""How concentrated kernels are: kappa off a window of places, and off the low frequencies.

A kernel is an array (..., C, H, W) on the image's grid; the C channels of one kernel are taken
together (their energies add up), for which the constant of one channel holds as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.theory.uncertainty import Floats, Sets


@dataclass(frozen=True)
class Concentration:
    """kappa of N kernels; each array is (N,), shares of the norm in [0, 1], NaN for a zero kernel.

    Attributes:
        space: off the window S, where S is put over the most energy (for a shifted kernel has the
            same frequencies, and the bound is sharpest there).
        frequency: off the low-frequency box Omega (`kappa_high`, DC included in the norm).
        bound: the exact constant, the same for all.
        norm: of the kernels.
    """

    space: Floats
    frequency: Floats
    bound: float
    norm: Floats

    @property
    def slack(self) -> Floats:
        """space + frequency - bound: never negative, by the uncertainty principle."""
        return self.space + self.frequency - self.bound


def concentration(kernels: Floats, sets: Sets) -> Concentration:
    """Return kappa of each kernel.

    Args:
        kernels: (N, C, H, W) on the image's grid.
        sets: S and Omega of that size.
    """
    power = (np.abs(np.fft.fft2(kernels, norm="ortho")) ** 2).sum(1)
    return of_energies((kernels**2).sum(1), power, sets)


def of_energies(energy: Floats, power: Floats, sets: Sets) -> Concentration:
    """Return kappa of kernels whose channels are summed up.

    Args:
        energy: (N, H, W) squares over the grid's places.
        power: (N, H, W) squares of the unitary DFT, in an FFT's order.
        sets: S and Omega of that size.
    """
    total = energy.sum((1, 2))
    norm = np.sqrt(total)
    total = np.where(total > 0, total, np.nan)
    inside = np.fft.ifft2(
        np.fft.fft2(energy) * np.conj(np.fft.fft2(_window(sets)))
    ).real.max((1, 2))  # fmt: skip
    off = (total - inside) / total
    # what the FFT's rounding leaves of nothing is nothing
    space = np.sqrt(np.where(off < 1e-13, 0.0, off) + 0 * total)
    frequency = np.sqrt(power[:, sets.outside].sum(1) / total)
    return Concentration(space, frequency, sets.exact, norm)


def _window(sets: Sets) -> Floats:
    mask = np.zeros(sets.size)
    mask[: sets.window[0], : sets.window[1]] = 1
    return mask
