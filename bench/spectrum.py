"""Fourier maths of perturbations: pure functions on (B, C, H, W) tensors.

Conventions: `fft2(norm="ortho")` of each whole channel, no window, float64 throughout.
P is the power summed over channels; r is the radius in units of the Nyquist frequency
(r = 1 on the axes' edge, sqrt 2 in the corners); p is P without the zero frequency (DC),
normalised to sum 1 for each sample.

Source: Caro et al. 2024 and its supplement, section 2 (kappa); definitions in README.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import lru_cache

import torch
from torch import Tensor

from bench import grid
from bench.grid import BINS

_ROUNDING = 1e-28

LUMA = (0.2989, 0.5870, 0.1140)
"""Weights of red, green and blue in the luma of `log_luma_profile`."""


@dataclass(frozen=True)
class Grid:
    """The frequency grid of one image size; every tensor is flat over H * W.

    Attributes:
        radius: (H*W,) float64, r in units of Nyquist.
        radius_index: (H*W,) int64, index of r in `radii`.
        radii: (R,) float64, the distinct radii, increasing.
        bin: (H*W,) int64, radial bin of r, 0 .. 63.
        high: (H*W,) float64 mask of r > 0.5.
        outside_box: (H*W,) float64 mask of |ky| > H/8 or |kx| > W/8.
        near_axis: (H*W,) float64 mask of directions within 22.5 degrees of an axis, no DC.
    """

    radius: Tensor
    radius_index: Tensor
    radii: Tensor
    bin: Tensor
    high: Tensor
    outside_box: Tensor
    near_axis: Tensor


@lru_cache(maxsize=16)
def frequency_grid(height: int, width: int, device: str = "cpu") -> Grid:
    """Return the frequency grid of an image size as tensors; masks are float64."""
    found = grid.frequency_grid(height, width)

    def tensor(name: str) -> Tensor:
        values = torch.from_numpy(getattr(found, name).copy()).to(device)
        return values.double() if values.dtype == torch.bool else values

    return Grid(*(tensor(field.name) for field in fields(Grid)))


def power_spectrum(delta: Tensor) -> Tensor:
    """Return the power P = sum over channels of |fft2(delta, norm="ortho")|^2.

    Args:
        delta: (B, C, H, W) real tensor.

    Returns:
        (B, H, W) float64, DC at [0, 0]; its sum is that of delta^2 (Parseval).

    Raises:
        ValueError: delta does not have four dimensions, or is empty.
    """
    _check(delta)
    transformed = torch.fft.fft2(delta.double(), norm="ortho")
    power: Tensor = (transformed.real.square() + transformed.imag.square()).sum(dim=1)
    return power


def normalised_power(power: Tensor) -> Tensor:
    """Return p: the power without DC, summing to 1 for each sample.

    Args:
        power: (B, H, W) from :func:`power_spectrum`.

    Returns:
        (B, H, W) float64 with 0 at DC; NaN for a sample without power outside DC (below
        1e-28 of the total, which is what rounding leaves of a constant image).
    """
    p = power.clone()
    p[:, 0, 0] = 0.0
    rest = p.sum(dim=(1, 2), keepdim=True)
    floor = _ROUNDING * power.sum(dim=(1, 2), keepdim=True)
    return p / torch.where(rest > floor, rest, torch.nan)


def spectral_metrics(delta: Tensor, power: Tensor | None = None) -> dict[str, Tensor]:
    """Return every spectral quantity of each perturbation.

    Args:
        delta: (B, C, H, W) real tensor, C = 1 or 3 for `log_luma_profile` (else NaN).
        power: its :func:`power_spectrum`, if already known.

    Returns:
        `rfc`, `hfe`, `f50`, `kappa_high`, `dc_share`, `axis_share`, `entropy`: (B,) float64;
        `radial_energy`, `log_luma_profile`: (B, 64) float64. A sample without any power
        outside DC has NaN throughout, except that its `dc_share` (1) and `kappa_high` (0)
        exist if it has power at DC.

    Raises:
        ValueError: delta does not have four dimensions, or is empty.
    """
    power = power_spectrum(delta) if power is None else power
    where = frequency_grid(delta.shape[2], delta.shape[3], str(delta.device))
    flat = power.flatten(1)
    p = normalised_power(power).flatten(1)
    total = flat.sum(dim=1)
    missing = p.sum(dim=1, keepdim=True).isnan()
    radial = torch.where(missing, torch.nan, _sum_by(p, where.bin, BINS))
    return {
        "rfc": p @ where.radius,
        "hfe": p @ where.high,
        "f50": half_power_radius(p, where),
        "kappa_high": ((flat @ where.outside_box) / total).sqrt(),
        "dc_share": flat[:, 0] / total,
        "axis_share": p @ where.near_axis,
        "entropy": torch.special.entr(p).sum(dim=1) / math.log(max(p.shape[1] - 1, 2)),
        "radial_energy": radial,
        "log_luma_profile": log_luma_profile(delta, where),
    }


def passed(images: Tensor, mask: Tensor) -> Tensor:
    """Return what a frequency mask lets through: an orthogonal projection for 0 and 1.

    Args:
        images: (..., H, W) real.
        mask: (H, W) real weights in an FFT's order, the same at a frequency and its negative.

    Returns:
        (..., H, W) real, in the images' dtype.
    """
    height, width = mask.shape
    half = mask[:, : width // 2 + 1].to(images.dtype)
    transformed = torch.fft.rfft2(images) * half
    result: Tensor = torch.fft.irfft2(transformed, s=(height, width))
    return result


def half_power_radius(p: Tensor, grid: Grid) -> Tensor:
    """Return the smallest radius of the grid within which at least half of p lies.

    Args:
        p: (B, H*W) float64, summing to 1.
        grid: the frequency grid of that size.

    Returns:
        (B,) float64; NaN where p is NaN.
    """
    cumulative = _sum_by(p, grid.radius_index, len(grid.radii)).cumsum(dim=1)
    first = (cumulative < 0.5).sum(dim=1).clamp(max=len(grid.radii) - 1)
    return torch.where(cumulative[:, -1].isnan(), torch.nan, grid.radii[first])


def log_luma_profile(delta: Tensor, grid: Grid) -> Tensor:
    """Return the mean log amplitude of the luma on each of the 64 rings, DC in the first.

    Args:
        delta: (B, C, H, W); C = 1: the channel itself, C = 3: red, green, blue.
        grid: the frequency grid of that size.

    Returns:
        (B, 64) float64 of mean ln max(|F|, 1e-12) with F = fft2(luma, norm="backward");
        NaN on rings that hold no frequency, for a zero perturbation, and if C is not 1 or 3.

    Source: the statistic of the first author's public notebooks (2020-21).
    """
    batch, channels = delta.shape[:2]
    if channels not in (1, 3):
        return torch.full((batch, BINS), torch.nan, dtype=torch.float64, device=delta.device)
    weights = LUMA if channels == 3 else (1.0,)
    weight = torch.tensor(weights, dtype=torch.float64, device=delta.device)
    luma = torch.einsum("bchw,c->bhw", delta.double(), weight)
    amplitude = torch.fft.fft2(luma, norm="backward").abs().clamp(min=1e-12)
    sums = _sum_by(amplitude.log().flatten(1), grid.bin, BINS)
    counts = torch.bincount(grid.bin, minlength=BINS).double()
    zero = (delta == 0).flatten(1).all(dim=1, keepdim=True)
    return torch.where(zero, torch.nan, sums / torch.where(counts > 0, counts, torch.nan))


def mean_map(p: Tensor, side: int = 64) -> Tensor:
    """Return fftshifted maps of p, at most `side` x `side`, by summing neighbouring cells.

    Args:
        p: (B, H, W) float64 from :func:`normalised_power`.
        side: largest side of the result.

    Returns:
        (B, min(H, side), min(W, side)) float64 with the same sums as p.
    """
    shifted: Tensor = torch.fft.fftshift(p, dim=(1, 2))
    for dim in (1, 2):
        size = shifted.shape[dim]
        if size > side:
            cell = torch.arange(size, device=p.device) * side // size
            shape = list(shifted.shape)
            shape[dim] = side
            summed = torch.zeros(shape, dtype=p.dtype, device=p.device)
            shifted = summed.index_add_(dim, cell, shifted)
    return shifted


def _sum_by(values: Tensor, index: Tensor, groups: int) -> Tensor:
    """Sum the columns of (B, N) that share an index: (B, groups)."""
    sums = torch.zeros(values.shape[0], groups, dtype=values.dtype, device=values.device)
    sums.index_add_(1, index, values)
    return sums


def _check(delta: Tensor) -> None:
    if delta.ndim != 4 or delta.numel() == 0:
        raise ValueError(f"expected (B, C, H, W) with at least one value, got {tuple(delta.shape)}")
