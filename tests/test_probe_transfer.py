"""The transfer function of evaluation transforms, held to closed forms and to plain numpy."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bench.errors import BenchError
from bench.models.timm_source import evaluation_transform, unrounded_transform
from bench.probes.geometry import Apply, geometry
from bench.probes.paths import _as_evaluated
from bench.probes.sinusoids import fit, sinusoids
from bench.probes.transfer import Response, by_radius, measure

Array = npt.NDArray[np.float64]

SIZE = (150, 113)
"""(W, H) of the inputs: no simple ratio with the output."""
CROP = 56


def config(**changes: Any) -> dict[str, Any]:
    """Settings of a small timm transform."""
    grey = (0.5, 0.5, 0.5)
    return {
        "input_size": (3, CROP, CROP), "interpolation": "bicubic", "mean": grey, "std": grey,
        "crop_pct": 0.875, "crop_mode": "center", **changes,
    }  # fmt: skip


def ways(**changes: Any) -> dict[str, Apply]:
    """Both arithmetics of a small timm transform."""
    exact = unrounded_transform(config(**changes))
    rounded = evaluation_transform(config(**changes))
    return {
        "uint8": lambda planes: _as_evaluated(planes, rounded, 3),
        "float32": lambda planes: np.stack([exact(p.astype(np.float32)) for p in planes]),
    }


def triangle(t: Array) -> Array:
    """The kernel that Pillow calls bilinear."""
    return np.maximum(0, 1 - np.abs(t))


def cubic(t: Array) -> Array:
    """Keys' cubic convolution kernel with a = -0.5."""
    t = np.abs(t)
    near = 1.5 * t**3 - 2.5 * t**2 + 1
    return np.where(t < 1, near, np.where(t < 2, -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2, 0))


def triangle_response(f: Array) -> Array:
    """Fourier transform of the triangle: sinc squared."""
    return np.sinc(f) ** 2


def cubic_response(f: Array) -> Array:
    """Fourier transform of Keys' kernel, a = -0.5 (Keys 1981, equation 24 of the appendix)."""
    f = np.where(np.abs(f) < 1e-3, 1e-3, f)
    s, pf = np.sinc, np.pi * f
    first = 3 / pf**2 * (s(f) ** 2 - s(2 * f))
    return first - 1 / pf**2 * (3 * s(2 * f) ** 2 - 2 * s(2 * f) - s(4 * f))


KERNELS = {"bilinear": (triangle, triangle_response), "bicubic": (cubic, cubic_response)}


def weights(size: int, resized: int, kernel: Callable[[Array], Array]) -> Array:
    """Antialiased resampling as a matrix (resized, size), written down from its definition."""
    scale = resized / size
    centres = (np.arange(resized) + 0.5) / scale
    distance = (np.arange(size)[None, :] + 0.5 - centres[:, None]) * min(1, scale)
    rows = kernel(distance)
    return rows / rows.sum(axis=1, keepdims=True)


def by_numpy(planes: Array, kernel: Callable[[Array], Array]) -> Array:
    """Shorter side to 64, then the central 56 x 56, in float64."""
    height, width = planes.shape[1:]
    short = round(CROP / 0.875)
    new = (short, int(short * width / height))
    down, along = (weights(n, m, kernel) for n, m in zip((height, width), new, strict=True))
    top, left = (round((m - CROP) / 2) for m in new)
    return (down @ planes @ along.T)[:, top : top + CROP, left : left + CROP]


def quick(paths: dict[str, Apply], size: tuple[int, int] = SIZE) -> Response:
    return measure(paths, size, seed=3, radii=8, noise_planes=24)


@pytest.mark.parametrize("start", [(0, 0), (5, 11)])
def test_identity_and_crop_have_gain_one_exactly(start: tuple[int, int]) -> None:
    top, left = start

    def crop(planes: Array) -> Array:
        return planes[:, top : top + 40, left : left + 48]

    found = quick({"uint8": crop, "float32": crop}, (48, 40) if start == (0, 0) else (64, 64))
    assert found.geometry.scale == (1, 1)
    assert max(p.output_radius for p in found.points) > 1.1
    assert {p.gain for p in found.points} == {1.0}
    assert all(p.input_radius == p.mapped_radius and not p.aliased for p in found.points)
    assert max(p.elsewhere for p in found.points if p.arithmetic == "float32") < 1e-12
    # what is elsewhere is the input's own rounding: 1/12 against an energy of 96^2 / 2
    rounding = [p.elsewhere for p in found.points if p.arithmetic == "uint8"]
    assert np.mean(rounding) == pytest.approx(1 / 12 / (96**2 / 2), rel=0.1)
    for ring in found.rings:
        assert ring.power == pytest.approx(1, abs=6 * np.sqrt(2 / ring.n))
    total = sum(r.power * r.n for r in found.rings if r.arithmetic == "uint8") / 2
    assert total / (24 * (48 * 40 - 1)) == pytest.approx(1, abs=0.01)


def test_every_second_pixel_has_gain_one_and_folds() -> None:
    """Decimation without a filter: f lands at 2 f, less the nearest integer."""
    found = quick({"float32": lambda planes: planes[:, ::2, ::2]}, (96, 96))
    assert found.geometry.scale == (0.5, 0.5)
    for p in found.points:
        assert p.gain == pytest.approx(1, abs=2e-3)
        assert p.elsewhere < 1e-5
        x = p.input_radius * np.cos(np.radians(p.angle))
        y = p.input_radius * np.sin(np.radians(p.angle))
        assert p.aliased == (max(abs(x), abs(y)) > 0.5)
        folded = [2 * abs(v - round(v)) for v in (x, y)]
        assert p.output_radius == pytest.approx(np.hypot(*folded), abs=1e-12)
    rings = [r for r in found.rings if r.grid == "ring"]
    # all of the noise's power is folded into a quarter of the frequencies
    assert np.average([r.power for r in rings], weights=[r.n for r in rings]) == pytest.approx(
        1, abs=0.02
    )
    assert found.rings[0].gain == pytest.approx(2 * np.sqrt(found.rings[0].power))


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
def test_gains_are_the_kernels_closed_form(method: str) -> None:
    found = quick(ways(interpolation=method))
    response = KERNELS[method][1]
    assert found.geometry.resized == (84, 64)
    worst = {"float32": 0.0, "uint8": 0.0}
    for p in found.points:
        angle = np.radians(p.angle)
        f = p.mapped_radius / 2 * np.array([np.cos(angle), np.sin(angle)])
        if not p.aliased:
            gain = abs(np.prod(response(f)))
            worst[p.arithmetic] = max(worst[p.arithmetic], abs(p.gain - gain))
    # the closed form is of a continuous image; Pillow's weights are normalised pixel by pixel
    assert worst["float32"] < 4e-3
    assert worst["uint8"] < 6e-3
    gains = [line.gain for line in by_radius(found, "uint8") if not line.aliased]
    assert gains == sorted(gains, reverse=True)
    assert any(line.aliased for line in by_radius(found, "uint8"))


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
def test_pillow_and_plain_numpy_agree(method: str) -> None:
    theirs = quick({"float32": partial(by_numpy, kernel=KERNELS[method][0])})
    ours = quick({"float32": ways(interpolation=method)["float32"]})
    assert ours.geometry.resized == theirs.geometry.resized
    for a, b in zip(ours.points, theirs.points, strict=True):
        assert a.gain == pytest.approx(b.gain, abs=2e-5)
        assert a.elsewhere == pytest.approx(b.elsewhere, abs=2e-5)
    for c, d in zip(ours.rings, theirs.rings, strict=True):
        assert c.power == pytest.approx(d.power, rel=1e-3, abs=1e-5)


def test_noise_follows_the_folded_kernel() -> None:
    """Power per axis: scale * sum over j of |K(f + j)|^2."""
    scale = (84 / SIZE[0], 64 / SIZE[1])
    f = np.fft.fftfreq(CROP)
    folded = sum(cubic_response(f + j) ** 2 for j in range(-3, 4))
    expected = scale[0] * scale[1] * folded[:, None] * folded[None, :]
    radius = 2 * np.hypot(f[:, None], f[None, :])
    found = measure(ways(), SIZE, radii=1, noise_planes=240)
    for arithmetic in ("uint8", "float32"):
        rings = [r for r in found.rings if (r.grid, r.arithmetic) == ("ring", arithmetic)]
        assert len(rings) == 40
        for ring in rings:
            here = np.rint(radius * CROP / 2).astype(int) == ring.number
            assert ring.n == 240 * here.sum()
            tolerance = 0.02 + 6 * np.sqrt(2 / ring.n)
            assert ring.power == pytest.approx(expected[here].mean(), rel=tolerance)
    p = expected.ravel()[1:] / expected.ravel()[1:].sum()
    assert found.noise_rfc["uint8"] == pytest.approx(p @ radius.ravel()[1:], abs=0.005)
    bins = [r.number for r in found.rings if (r.grid, r.arithmetic) == ("bin64", "uint8")]
    assert max(bins) == 63


def test_rounding_adds_what_two_roundings_add() -> None:
    """Eight bits change no amplitude by half a level, and add power of about 1/12."""
    found = quick(ways())
    pairs: dict[tuple[int, float, float], list[Any]] = {}
    for p in found.points:
        pairs.setdefault((p.step, p.angle, p.phase), []).append(p)
    added = []
    for rounded, exact in pairs.values():
        assert (rounded.arithmetic, exact.arithmetic) == ("uint8", "float32")
        assert abs(rounded.gain - exact.gain) < 0.5 / 96
        added.append(rounded.elsewhere - exact.elsewhere)
    # the input's rounding is filtered; Pillow rounds after each of its two passes
    assert 1 / 12 < np.mean(added) * 96**2 / 2 < 3 / 12


@pytest.mark.parametrize(
    ("mode", "resized", "shown"),
    [("squash", (64, 64), ((0, 0), (56, 56))), ("border", (64, 48), ((0, 4), (56, 52)))],
)
def test_other_crop_modes(mode: str, resized: Any, shown: Any) -> None:
    place = geometry(ways(crop_mode=mode)["float32"], (150, 113))
    assert place.resized == resized
    assert (place.start, place.stop) == shown
    assert place.output_size == (56, 56)


def test_enlarging_needs_no_folding() -> None:
    found = quick(ways(), (40, 36))
    assert found.geometry.scale[1] == pytest.approx(64 / 36)
    assert not any(p.aliased for p in found.points)
    low, high = (by_radius(found, "float32")[i].gain for i in (0, -1))
    assert low > 0.98 > high


def test_too_small_a_rest_is_refused() -> None:
    with pytest.raises(BenchError, match=r"8 pixels a side.*choose another --input-size"):
        geometry(ways(crop_mode="border")["float32"], (4000, 400))


def test_a_fit_finds_amplitude_and_rest() -> None:
    rng = np.random.default_rng(0)
    planes = sinusoids((31, 27), (0.11, -0.2), np.array([0.3, 2.0]))
    assert planes[0, 4, 7] == pytest.approx(
        127.5 + 96 * np.cos(2 * np.pi * (0.11 * 7 - 0.2 * 4) + 0.3)
    )
    noise = rng.normal(size=planes.shape)
    x, y = np.meshgrid(np.arange(31), np.arange(27))
    wave = 2 * np.pi * (0.11 * x - 0.2 * y).ravel()
    basis = np.stack([np.ones_like(wave), np.cos(wave), np.sin(wave)], axis=1)
    amplitude, rest = fit(planes + noise, (0.11, -0.2))
    for i in range(2):
        values = (planes + noise)[i].ravel()
        solved, left, *_ = np.linalg.lstsq(basis, values, rcond=None)
        assert amplitude[i] == pytest.approx(np.hypot(*solved[1:]))
        assert rest[i] == pytest.approx(left[0] / values.size)
