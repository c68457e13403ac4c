"""The spectral quantities against closed forms, numpy.fft and hand-worked values."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from bench.grid import white_noise
from bench.spectrum import (
    frequency_grid,
    mean_map,
    normalised_power,
    power_spectrum,
    spectral_metrics,
)


def numpy_reference(delta: np.ndarray) -> dict[str, float]:
    """The definitions, written once more in numpy for one (C, H, W) perturbation."""
    _, height, width = delta.shape
    power = (np.abs(np.fft.fft2(delta, norm="ortho")) ** 2).sum(0)
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None]
    r = np.sqrt(fx**2 + fy**2) / 0.5
    p = power.copy()
    p[0, 0] = 0
    p /= p.sum()
    order = np.argsort(r, axis=None)
    cumulative = np.cumsum(p.ravel()[order])
    sorted_r = r.ravel()[order]
    last_of_radius = np.append(np.diff(sorted_r) > 1e-12, True)
    f50 = sorted_r[last_of_radius][np.argmax(cumulative[last_of_radius] >= 0.5)]
    outside = (np.abs(fy * height) > height / 8) | (np.abs(fx * width) > width / 8)
    positive = p[p > 0]
    return {
        "rfc": (r * p).sum(),
        "hfe": p[r > 0.5].sum(),
        "f50": f50,
        "kappa_high": math.sqrt(power[outside].sum() / power.sum()),
        "dc_share": power[0, 0] / power.sum(),
        "entropy": -(positive * np.log(positive)).sum() / math.log(height * width - 1),
    }


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 31, 31), (3, 24, 36), (1, 7, 5)])
def test_agrees_with_numpy(shape: tuple[int, int, int]) -> None:
    delta = np.random.default_rng(1).normal(size=(4, *shape))
    found = spectral_metrics(torch.from_numpy(delta))
    for sample in range(4):
        for name, value in numpy_reference(delta[sample]).items():
            assert found[name][sample].item() == pytest.approx(value, abs=1e-12), name


@pytest.mark.parametrize("shape", [(2, 1, 28, 28), (2, 3, 33, 20)])
def test_parseval(shape: tuple[int, ...]) -> None:
    delta = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.allclose(power_spectrum(delta).sum((1, 2)), delta.square().sum((1, 2, 3)))


@pytest.mark.parametrize("size", [28, 31, 32])
@pytest.mark.parametrize("k", [(0, 1), (3, 4), (5, 0), (7, 7), (13, 2)])
def test_one_sinusoid_has_its_radius(size: int, k: tuple[int, int]) -> None:
    y, x = torch.meshgrid(*[torch.arange(size, dtype=torch.float64)] * 2, indexing="ij")
    wave = torch.cos(2 * math.pi * (k[0] * x + k[1] * y) / size + 0.3)[None, None]
    found = spectral_metrics(wave)
    radius = 2 * math.hypot(*k) / size
    assert found["rfc"].item() == pytest.approx(radius, abs=1e-12)
    assert found["f50"].item() == pytest.approx(radius, abs=1e-12)
    energy = found["radial_energy"][0]
    assert (energy > 1e-12).sum() == 1
    assert energy.argmax().item() == min(63, math.floor(radius * 64 / math.sqrt(2) + 1e-9))


def test_corner_frequency_is_in_the_closed_last_bin() -> None:
    sign = torch.tensor([1.0, -1.0]).repeat(16)
    checkerboard = (sign[:, None] * sign[None, :])[None, None]
    found = spectral_metrics(checkerboard)
    assert found["rfc"].item() == pytest.approx(math.sqrt(2), abs=1e-14)
    assert found["radial_energy"][0, 63].item() == 1.0


@pytest.mark.parametrize(
    ("size", "rfc", "hfe"), [(28, 0.7669, 0.8110), (32, 0.7665, 0.8084), (224, 0.7652, 0.8038)]
)
def test_delta_kernel_is_white(size: int, rfc: float, hfe: float) -> None:
    pixel = torch.zeros(1, 1, size, size)
    pixel[0, 0, size // 3, size // 2] = 0.7
    found = spectral_metrics(pixel)
    expected = white_noise(size, size)
    assert found["rfc"].item() == pytest.approx(rfc, abs=5e-5)
    assert found["hfe"].item() == pytest.approx(hfe, abs=5e-5)
    assert found["entropy"].item() == pytest.approx(1.0, abs=1e-12)
    for name in ("rfc", "hfe", "axis_share"):
        assert found[name].item() == pytest.approx(expected[name], abs=1e-12)


@pytest.mark.parametrize(("size", "f50"), [(28, 0.7986), (32, 0.8004), (224, 0.7975)])
def test_white_spectrum_half_power_radius(size: int, f50: float) -> None:
    pixel = torch.zeros(1, 1, size, size)
    pixel[0, 0, 0, 0] = 1
    assert spectral_metrics(pixel)["f50"].item() == pytest.approx(f50, abs=5e-5)


def test_white_noise_tends_to_the_closed_limits() -> None:
    found = white_noise(2048, 2048)
    assert found["rfc"] == pytest.approx((math.sqrt(2) + math.asinh(1)) / 3, abs=1e-4)
    assert found["hfe"] == pytest.approx(1 - math.pi / 16, abs=1e-3)
    # two wedges of 45 degrees on a square: 8 * (tan(22.5 deg) / 8) = tan(22.5 deg)
    assert found["axis_share"] == pytest.approx(math.tan(math.pi / 8), abs=1e-3)


def test_white_images_average_to_white_but_are_not_flat() -> None:
    noise = torch.randn(400, 1, 28, 28, generator=torch.Generator().manual_seed(3))
    found = spectral_metrics(noise)
    assert found["rfc"].mean().item() == pytest.approx(0.7669, abs=2e-3)
    assert found["entropy"].mean().item() == pytest.approx(0.94, abs=0.005)


@pytest.mark.parametrize(("kernel", "hfe"), [(3, 0.193), (7, 0.091)])
def test_box_kernels(kernel: int, hfe: float) -> None:
    box = torch.zeros(1, 1, 32, 32)
    box[0, 0, :kernel, :kernel] = 1
    assert spectral_metrics(box)["hfe"].item() == pytest.approx(hfe, abs=1e-3)


def test_sign_of_a_band_limited_field_has_the_arcsine_floor() -> None:
    noise = torch.randn(16, 1, 224, 224, generator=torch.Generator().manual_seed(5))
    spectrum = torch.fft.fft2(noise.double())
    low = frequency_grid(224, 224).radius.reshape(224, 224) <= 0.25
    field = torch.fft.ifft2(spectrum * low).real
    assert spectral_metrics(field)["hfe"].max().item() < 1e-20
    assert spectral_metrics(field.sign())["hfe"].mean().item() == pytest.approx(0.152, abs=0.003)


def test_random_local_kernels_are_white_on_average() -> None:
    kernels = torch.zeros(4000, 1, 32, 32)
    kernels[:, :, :3, :3] = torch.randn(4000, 1, 3, 3, generator=torch.Generator().manual_seed(1))
    power = power_spectrum(kernels).mean(0, keepdim=True)
    p = normalised_power(power).flatten()
    assert (p @ frequency_grid(32, 32).high).item() == pytest.approx(0.8084, abs=0.02)


def test_rounding_to_uint8_adds_white_noise_of_known_size() -> None:
    image = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(2))
    error = (image * 255).round() / 255 - image
    assert error.norm().item() == pytest.approx(0.44, abs=0.005)


def test_no_power_gives_nan_not_zero() -> None:
    delta = torch.zeros(3, 1, 28, 28)
    delta[1] = 0.5  # only DC
    delta[2, 0, 4, 5] = 1
    found = spectral_metrics(delta)
    for name in ("rfc", "hfe", "f50", "axis_share", "entropy"):
        assert found[name].isnan().tolist() == [True, True, False], name
    assert found["dc_share"].isnan().tolist() == [True, False, False]
    assert found["dc_share"][1].item() == 1.0
    assert found["radial_energy"][:2].isnan().all()
    assert found["log_luma_profile"][0].isnan().all()


def test_log_luma_profile_of_one_pixel() -> None:
    pixel = torch.zeros(1, 3, 32, 32)
    pixel[0, :, 5, 6] = torch.tensor([0.1, 0.2, 0.3])
    luma = 0.2989 * 0.1 + 0.5870 * 0.2 + 0.1140 * 0.3
    profile = spectral_metrics(pixel)["log_luma_profile"][0]
    held = ~profile.isnan()
    assert torch.allclose(profile[held], torch.tensor(math.log(luma), dtype=torch.float64))
    counts = torch.bincount(frequency_grid(32, 32).bin, minlength=64)
    assert torch.equal(held, counts > 0)
    assert (~held).any()


def test_mean_map_keeps_the_sum_and_centres_dc() -> None:
    delta = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    p = normalised_power(power_spectrum(delta))
    small = mean_map(p)
    assert small.shape == (2, 64, 64)
    assert torch.allclose(small.sum((1, 2)), torch.ones(2, dtype=torch.float64))
    constant = torch.ones(1, 1, 28, 28)
    assert mean_map(power_spectrum(constant)).argmax().item() == 14 * 28 + 14


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \(B, C, H, W\)"):
        power_spectrum(torch.zeros(28, 28))
    with pytest.raises(ValueError, match="at least one value"):
        power_spectrum(torch.zeros(0, 1, 28, 28))
