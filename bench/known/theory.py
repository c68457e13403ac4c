"""Known values of the theory: the exact constant, and counter-examples to the product bound."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bench.known.value import Known
from bench.theory.product import Product, product
from bench.theory.uncertainty import Floats, ghobber_jaming, sigma

SIZE, LOW = 32, 4


def squared(taps: int) -> Product:
    """Return both forms of the bound for w * w with w = `taps` ones, D = 32, Omega = {-4..4}."""
    kernel: Floats = np.r_[np.ones(taps), np.zeros(SIZE - taps)]
    layer = np.fft.fft(kernel)[None, None]
    outside = np.abs(np.rint(np.fft.fftfreq(SIZE, 1 / SIZE))) > LOW
    return product([[layer, layer]], outside)


def _kappa(taps: int) -> Callable[[object], float]:
    return lambda device: float(squared(taps).kappa[0])


def _bound(taps: int) -> Callable[[object], float]:
    return lambda device: float(squared(taps).bound[0])


VALUES: tuple[Known, ...] = (
    Known("uncertainty, D = 32, |S| = 3, |Omega| = 9: sqrt(1 - sigma^2)", 0.5319, 5.1e-5,
          lambda device: float(np.sqrt(1 - sigma(SIZE, 3, LOW) ** 2))),
    Known("the same: Ghobber and Jaming's constant", 0.0753, 5.1e-5,
          lambda device: ghobber_jaming(SIZE, 3, 9)),
    Known("two one-pixel kernels: kappa of the product", 0.530, 5.1e-4, _kappa(1)),
    Known("two one-pixel kernels: the supplement's bound of it", 0.281, 5.1e-4, _bound(1)),
    Known("two kernels (1, 1, 1): kappa of the product", 0.9380, 5.1e-5, _kappa(3)),
    Known("two kernels (1, 1, 1): the supplement's bound of it", 0.7146, 5.1e-5, _bound(3)),
)  # fmt: skip
