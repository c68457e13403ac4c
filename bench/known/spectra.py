"""Known values of the spectral quantities: closed forms, and white noise."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from bench.known.value import Known
from bench.spectrum import power_spectrum, spectral_metrics

WHITE = {
    "rfc": {28: 0.7669, 32: 0.7665, 224: 0.7652},
    "hfe": {28: 0.8110, 32: 0.8084, 224: 0.8038},
    "f50": {28: 0.7986, 32: 0.8004, 224: 0.7975},
}
"""Of white noise: the mean radius of all frequencies but DC, and so on."""


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Return standard normal noise (float64) that is the same everywhere."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def _pixel(name: str, side: int) -> Callable[[torch.device], float]:
    def find(device: torch.device) -> float:
        delta = torch.zeros(1, 1, side, side, dtype=torch.float64)
        delta[0, 0, 1, 2] = 1
        return float(spectral_metrics(delta.to(device))[name][0])

    return find


def _parseval(device: torch.device) -> float:
    delta = noise(2, 3, 32, 32).to(device)
    return float(power_spectrum(delta).sum() / delta.square().sum())


def _wave(name: str) -> Callable[[torch.device], float]:
    def find(device: torch.device) -> float:
        y, x = np.mgrid[:32, :32]
        wave = torch.from_numpy(np.cos(2 * np.pi * (3 * x - 4 * y) / 32))[None, None]
        return float(spectral_metrics(wave.to(device))[name][0].max())

    return find


def _flatness(device: torch.device) -> float:
    delta = torch.zeros(1, 1, 9, 14, dtype=torch.float64)
    delta[0, 0, 4, 5] = 1
    power = power_spectrum(delta.to(device))
    return float(power.min() / power.max())


def _noise(name: str, side: int) -> Callable[[torch.device], float]:
    return lambda device: float(spectral_metrics(noise(256, 1, side, side).to(device))[name].mean())


def _box(kernel: int) -> Callable[[torch.device], float]:
    def find(device: torch.device) -> float:
        delta = torch.zeros(1, 1, 32, 32, dtype=torch.float64)
        delta[:, :, :kernel, :kernel] = 1
        return float(spectral_metrics(delta.to(device))["hfe"][0])

    return find


def _kernels(kernel: int) -> Callable[[torch.device], float]:
    """The mean spectrum of random kernels: locality alone is no high frequency."""

    def find(device: torch.device) -> float:
        delta = torch.zeros(1, 4096, 32, 32, dtype=torch.float64)
        delta[:, :, :kernel, :kernel] = noise(1, 4096, kernel, kernel)
        return float(spectral_metrics(delta.to(device))["hfe"][0])

    return find


def _half_plane(device: torch.device) -> float:
    """Energy of white noise in the half plane that rfft2 gives, over all of it."""
    delta = noise(64, 1, 32, 32).to(device)
    half = torch.fft.rfft2(delta, norm="ortho").abs().square().sum()
    return float(half / power_spectrum(delta).sum())


def _sign(device: torch.device) -> float:
    """The sign of a field that is band-limited to r <= .25: the floor of Linf attacks."""
    field = torch.fft.fft2(noise(24, 1, 128, 128).to(device))
    f = torch.fft.fftfreq(128, dtype=torch.float64, device=device)
    r = (f[:, None].square() + f[None, :].square()).sqrt() / 0.5
    low = torch.fft.ifft2(field * ((r <= 0.25) & (r > 0))).real
    return float(spectral_metrics(low.sign())["hfe"].mean())


def _rounding(device: torch.device) -> float:
    image = torch.from_numpy(np.random.default_rng(0).uniform(0.01, 0.99, (3, 224, 224)))
    image = image.to(device)
    return float(((image * 255).round() / 255 - image).norm())


def _entropy(device: torch.device) -> float:
    return float(spectral_metrics(noise(256, 1, 28, 28).to(device))["entropy"].mean())


VALUES: tuple[Known, ...] = (
    Known("Parseval: sum of P / sum of delta^2", 1.0, 1e-12, _parseval),
    Known("sinusoid (3, -4) of 32 px: rfc = r", 10 / 32, 1e-12, _wave("rfc")),
    Known("sinusoid: its largest bin of radial_energy", 1.0, 1e-6, _wave("radial_energy")),
    Known("one pixel: least over largest power", 1.0, 1e-12, _flatness),
    *(
        Known(f"flat spectrum, {name}, {side} px", value, 5.1e-5, _pixel(name, side))
        for name, values in WHITE.items()
        for side, value in values.items()
    ),
    Known("flat spectrum, rfc, 1024 px: (sqrt 2 + asinh 1) / 3",
          (math.sqrt(2) + math.asinh(1)) / 3, 5e-5, _pixel("rfc", 1024)),
    Known("flat spectrum, hfe, 1024 px: 1 - pi / 16", 1 - math.pi / 16, 5e-4, _pixel("hfe", 1024)),
    Known("flat spectrum, f50, 1024 px: sqrt(2 / pi)",
          math.sqrt(2 / math.pi), 2e-3, _pixel("f50", 1024)),
    Known("flat spectrum, axis_share, 28 px", 0.41, 0.01, _pixel("axis_share", 28)),
    Known("256 images of white noise, rfc, 28 px", 0.7669, 0.004, _noise("rfc", 28)),
    Known("256 images of white noise, hfe, 32 px", 0.8084, 0.004, _noise("hfe", 32)),
    Known("256 images of white noise, entropy, 28 px", 0.94, 0.005, _entropy),
    Known("3 x 3 box kernel, hfe, 32 px", 0.193, 5e-4, _box(3)),
    Known("7 x 7 box kernel, hfe, 32 px", 0.0905, 5e-4, _box(7)),
    Known("4096 random 3 x 3 kernels, hfe of the mean spectrum", 0.8084, 0.01, _kernels(3)),
    Known("4096 random 7 x 7 kernels, hfe of the mean spectrum", 0.8084, 0.01, _kernels(7)),
    Known("half plane of rfft2, unweighted, of white noise", 17 / 32, 0.005, _half_plane),
    Known("sign of a field within r <= .25, hfe (arcsine law)", 0.152, 0.008, _sign),
    Known("rounding 3 x 224 x 224 values to 8 bits, L2",
          math.sqrt(3 * 224 * 224 / 12) / 255, 0.005, _rounding),
)  # fmt: skip
