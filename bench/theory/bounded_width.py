"""R_BWC by kernel size, for one channel: what a predictor costs where the kernel is confined.

    R_K(beta) = min |w_1|^2 + |w_2|^2   subject to   w_1 * w_2 = beta,  w_1 on K adjacent places

with circular convolutions in R^D (the read-out w_2 is free). With a_f = |w_1^(f)|^2 the second term
is the sum of b_f / a_f, b_f = |beta^(f)|^2 / D, and a is a non-negative trigonometric polynomial of
degree K - 1: by Fejer and Riesz every such polynomial is a kernel's, and it is z* W z with a
positive semidefinite K x K matrix W, |w_1|^2 = trace W. So R_K is the convex problem

    min trace W + sum of b_f / (z_f* W z_f)         W positive semidefinite,

and any multipliers l_f >= 0 with sum of l_f z_f z_f* <= identity bound it from below by
2 sum of sqrt(b_f l_f). Both sides are computed: the gap says how well it has converged. Ends in
closed form: R_1 = 2 |beta|, R_D = 2 / D sum of |beta^(f)|.

Sources: Gunasekar et al. 2018 (R_D); Jagadeesan et al. 2022, https://arxiv.org/abs/2102.12238.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from bench.theory.uncertainty import Floats


@dataclass(frozen=True)
class Cost:
    """R_K lies between `low` and `high`."""

    kernel: int
    low: float
    high: float

    @property
    def gap(self) -> float:
        """Relative width of what is not known."""
        return (self.high - self.low) / self.high


def cost(beta: Floats, kernel: int) -> Cost:
    """Return R_K of a predictor (D,), not zero, for a kernel size K of 1 .. D."""
    size = len(beta)
    power = np.abs(np.fft.fft(beta)) ** 2 / size
    scale = power.sum()
    power = power / scale  # R is 1-homogeneous in |beta|
    waves = np.exp(-2j * np.pi * np.outer(np.arange(size), np.arange(kernel)) / size)
    there = power > 1e-15 * power.max()
    waves, power = waves[there], power[there]

    def value(flat: Floats) -> tuple[float, Floats]:
        factor = flat.reshape(kernel, kernel)
        image = waves @ factor
        a = (np.abs(image) ** 2).sum(1)
        slope = 2 * factor - 2 * ((waves.conj().T * (power / a**2)) @ image).real
        return float((factor**2).sum() + (power / a).sum()), slope.ravel()

    # the identity, and a little that breaks its symmetry
    start = np.eye(kernel) / np.sqrt(kernel)
    start += 0.01 * np.random.default_rng(0).standard_normal(start.shape)
    found = minimize(
        value, start.ravel(), jac=True, method="L-BFGS-B",
        options={"maxiter": 20000, "maxfun": 40000, "ftol": 1e-15, "gtol": 1e-9, "maxcor": 30},
    )  # fmt: skip
    a = (np.abs(waves @ found.x.reshape(kernel, kernel)) ** 2).sum(1)
    weight = power / a**2
    largest = np.linalg.eigvalsh(((waves.conj().T * weight) @ waves).real)[-1]
    low = 2 * np.sqrt(power * weight / largest).sum()
    root = float(np.sqrt(scale))
    return Cost(kernel, float(low) * root, float(found.fun) * root)


def targets(size: int) -> dict[str, Floats]:
    """Return predictors to try, of norm 1: concentrated in space, in frequency, and random."""
    n = np.arange(size)
    rng = np.random.default_rng(0)
    found = {
        "one pixel": (n == 0).astype(float),
        "three ones": (n < 3).astype(float),
        "lowest wave": np.cos(2 * np.pi * n / size),
        "high wave": np.cos(2 * np.pi * (size // 2 - 1) * n / size),
        "random": rng.standard_normal(size),
        "smooth random": np.fft.ifft(
            np.fft.fft(rng.standard_normal(size)) / (1 + np.abs(np.fft.fftfreq(size, 1 / size)))
        ).real,
    }
    return {name: values / np.linalg.norm(values) for name, values in found.items()}


def rises_as_kernels_shrink(costs: list[Cost]) -> bool:
    """Return whether R_K never rises with K, as far as the bounds tell; costs in order of K."""
    return all(b.low <= a.high * (1 + 1e-9) for a, b in itertools.pairwise(costs))
