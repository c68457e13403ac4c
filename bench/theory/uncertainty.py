"""How concentrated a vector can be in space and in frequency at once: the exact constant.

For w in R^D, a set S of places, a set Omega of frequencies and the unitary DFT, the least value of

    (norm of w off S + norm of w^ off Omega) / norm of w     is     sqrt(1 - sigma^2)

with sigma the largest singular value of the block of the DFT matrix with rows Omega and columns S:
the angles of w with the two subspaces add up to at least arccos sigma, and the sum of their sines
is smallest where one of them is zero. The right singular vector, which lies on S, attains it.

Sources: Landau and Pollak 1961 (the angles); Ghobber and Jaming 2011, https://arxiv.org/abs/0906.5547,
whose constant the supplement of Caro et al. 2024 uses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@lru_cache(maxsize=256)
def sigma(size: int, window: int, low: int) -> float:
    """Return the largest singular value of the DFT's block {-low..low} x {window adjacent places}.

    It does not depend on where the window is: a shift multiplies rows by phases.

    Args:
        size: D.
        window: number of places, 1 .. D.
        low: largest frequency of Omega, at least 0.
    """
    frequencies = np.unique(np.arange(-low, low + 1) % size)
    block = np.exp(-2j * np.pi * np.outer(frequencies, np.arange(window)) / size)
    largest = np.linalg.svd(block, compute_uv=False)[0]
    return min(1.0, float(largest) / math.sqrt(size))


def ghobber_jaming(size: int, places: int, frequencies: int) -> float:
    """Return the published constant 1 / (1 + 1 / (1 - sqrt(|S| |Omega| / D))).

    Returns:
        NaN where |S| |Omega| >= D: there it says nothing.
    """
    filled = places * frequencies / size
    return math.nan if filled >= 1 else 1 / (1 + 1 / (1 - math.sqrt(filled)))


@dataclass(frozen=True)
class Sets:
    """A window of places S and the low-frequency box Omega of an image size.

    Attributes:
        size: (H, W) of the image.
        window: (h, w) of S; at most the image.
        low: (ky, kx), the largest frequencies of Omega.
    """

    size: tuple[int, int]
    window: tuple[int, int]
    low: tuple[int, int]

    @classmethod
    def of(cls, size: tuple[int, int], window: tuple[int, int]) -> Sets:
        """Return a window beside the box |ky| <= H/8, |kx| <= W/8 of `kappa_high`."""
        height, width = size
        fits = (min(window[0], height), min(window[1], width))
        return cls(size, fits, (height // 8, width // 8))

    @property
    def places(self) -> int:
        """|S|."""
        return math.prod(self.window)

    @property
    def frequencies(self) -> int:
        """|Omega|."""
        return math.prod(min(2 * k + 1, n) for k, n in zip(self.low, self.size, strict=True))

    @cached_property
    def sigma(self) -> float:
        """Of product sets it is the product of the two axes'."""
        axes = zip(self.size, self.window, self.low, strict=True)
        return math.prod(sigma(n, s, k) for n, s, k in axes)

    @property
    def exact(self) -> float:
        """The exact constant, sqrt(1 - sigma^2)."""
        return math.sqrt(max(0.0, 1 - self.sigma**2))

    @property
    def published(self) -> float:
        """Ghobber and Jaming's constant; NaN where it is void."""
        return ghobber_jaming(math.prod(self.size), self.places, self.frequencies)

    @property
    def white(self) -> float:
        """kappa off Omega of a flat spectrum, such as one pixel's or, on average, white noise's."""
        return math.sqrt(1 - self.frequencies / math.prod(self.size))

    @cached_property
    def outside(self) -> npt.NDArray[np.bool_]:
        """(H, W) True off Omega, in an FFT's order."""
        ky, kx = (np.rint(np.fft.fftfreq(n, 1 / n)) for n in self.size)
        mask: npt.NDArray[np.bool_] = (np.abs(ky)[:, None] > self.low[0]) | (
            np.abs(kx)[None, :] > self.low[1]
        )
        return mask
