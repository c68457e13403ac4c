"""The supplement's last step: the low-frequency energy of a product of filters.

With the unnormalised DFT a chain of circular convolutions is, at each frequency f, the product
B(f) = M_L(f) ... M_1(f) of matrices (channels out x channels in). Over a set Omega of frequencies

    norm of B on Omega <= product of the norms of M_l on Omega                  (holds, always)
    kappa(Omega, B)    <= product of kappa(Omega, M_l)                          (the supplement)

with Frobenius norms and kappa(Omega, X) = norm of X on Omega / norm of X. The second is the first
divided by norm of B >= product of the norms of M_l, which is false in general: the first
inequality, taken over all frequencies, says the opposite.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.theory.uncertainty import Floats

Complex = npt.NDArray[np.complex128]
ROUNDING = 1e-12
"""A bound counts as violated where it is off by more than this share."""


@dataclass(frozen=True)
class Product:
    """Both forms for N chains; each array is (N,).

    Attributes:
        log_ratio: ln (norm of B on Omega / product of norms of M_l on Omega): never positive.
        kappa: kappa(Omega, B).
        bound: product of kappa(Omega, M_l), the supplement's bound of it.
    """

    log_ratio: Floats
    kappa: Floats
    bound: Floats

    @property
    def fails(self) -> npt.NDArray[np.bool_]:
        """(N,) where the normalised form is violated."""
        failed: npt.NDArray[np.bool_] = self.kappa > self.bound * (1 + ROUNDING)
        return failed

    @property
    def holds(self) -> bool:
        """Whether the unnormalised form holds for all chains, as it must."""
        return bool((self.log_ratio <= ROUNDING).all())


def product(chains: Sequence[Sequence[Complex]], outside: npt.NDArray[np.bool_]) -> Product:
    """Compare both forms of the bound for each chain.

    Args:
        chains: each a sequence M_1 .. M_L of (channels out, channels in, F) arrays.
        outside: (F,) True off Omega.
    """
    ratios, kappas, bounds = [], [], []
    for layers in chains:
        whole = layers[0]
        for layer in layers[1:]:
            whole = np.einsum("oif,ijf->ojf", layer, whole)
        low = [np.linalg.norm(m[..., ~outside]) for m in layers]
        norms = [np.linalg.norm(m) for m in layers]
        here = np.linalg.norm(whole[..., ~outside])
        ratios.append(np.log(here) - np.sum(np.log(low)))
        kappas.append(here / np.linalg.norm(whole))
        bounds.append(np.prod(np.array(low) / np.array(norms)))
    return Product(*(np.array(v, dtype=np.float64) for v in (ratios, kappas, bounds)))


def transfer(kernels: Floats, size: tuple[int, int]) -> Complex:
    """Return the channel matrices of a layer of kernels at all frequencies.

    Args:
        kernels: (O, I, h, w), at most the image's size.
        size: (H, W).

    Returns:
        (O, I, H * W), unnormalised.
    """
    spectra = np.fft.fft2(kernels, s=size)
    found: Complex = spectra.reshape(*kernels.shape[:2], -1)
    return found
