"""Sinusoids of known frequency through an image transform: amplitude out over amplitude in."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.probes.geometry import Apply, Geometry, Planes

Vector = tuple[float, float]
"""(x, y)."""

MIDDLE, AMPLITUDE = 127.5, 96.0
"""Of the sinusoids, in 1 / 255: kernels with negative lobes stay inside [0, 255]."""
ANGLES = 8
"""Orientations in [0, 180) degrees."""
PHASES = 3
"""Seeded phases of each sinusoid: the planes of one RGB image."""


@dataclass(frozen=True)
class Point:
    """What became of one sinusoid.

    Attributes:
        arithmetic: "uint8" (as evaluation does it) or "float32" (the same without rounding).
        step: number of its nominal radius, from 0.
        angle: direction, degrees from the x axis.
        phase: radians, at the corner of the input.
        input_radius: in units of the input's Nyquist frequency.
        mapped_radius: the same frequency in units of the output's.
        output_radius: where it lands, after folding.
        aliased: it was folded.
        gain: output amplitude at the frequency where it lands / input amplitude.
        elsewhere: output energy at all other frequencies, but 0, / input energy.
    """

    arithmetic: str
    step: int
    angle: float
    phase: float
    input_radius: float
    mapped_radius: float
    output_radius: float
    aliased: bool
    gain: float
    elsewhere: float


def frequencies(place: Geometry, count: int) -> Iterator[tuple[int, float, Vector]]:
    """Yield (step, angle, frequency) of every sinusoid, each clear of its own mirror image."""
    spacing = math.sqrt(2) / count
    for step in range(count):
        for number in range(ANGLES):
            angle = 180.0 * number / ANGLES
            x, y = math.cos(math.radians(angle)), math.sin(math.radians(angle))
            for shift in (0, 1, -1, 2, -2, 3, -3, 4, -4):
                radius = (step + 0.5 + shift / 10) * spacing
                frequency = (radius * x / 2, radius * y / 2)
                if max(map(abs, frequency)) <= 0.5 and _resolved(frequency, place):
                    yield step, angle, frequency
                    break


def _resolved(frequency: Vector, place: Geometry) -> bool:
    """Whether a frequency stands clear of its mirror image -f by two cycles, in and out.

    Near DC and Nyquist the two meet, and amplitude then depends on phase. So they do where the
    resampled -f + 1 (one sampling frequency of the input further) folds onto f.
    """
    if not _apart((2 * frequency[0], 2 * frequency[1]), place.source()):
        return False
    shifts = [(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1)]
    twice = [(2 * frequency[0] + x, 2 * frequency[1] + y) for x, y in shifts]
    return all(_apart(_mapped(each, place), place.inner()) for each in twice)


def _apart(difference: Vector, window: tuple[slice, slice]) -> bool:
    """Whether frequencies that differ so much run apart by two cycles over (rows, columns)."""
    pairs = zip(difference, reversed(window), strict=True)
    return any(abs(_wrapped(f)) * int(part.stop - part.start) >= 2 for f, part in pairs)


def _mapped(frequency: Vector, place: Geometry) -> Vector:
    """Return a frequency in cycles per output pixel."""
    return frequency[0] / place.scale[0], frequency[1] / place.scale[1]


def _wrapped(frequency: float) -> float:
    """Return the frequency in [-0.5, 0.5] that has the same samples."""
    return frequency - round(frequency)


def respond(
    paths: Mapping[str, Apply],
    place: Geometry,
    step: int,
    angle: float,
    frequency: Vector,
    seed: int,
) -> Iterator[Point]:
    rng = np.random.default_rng([seed, 1, step, round(10 * angle)])
    phases = rng.uniform(0, 2 * np.pi, PHASES)
    mapped = _mapped(frequency, place)
    landed = (_wrapped(mapped[0]), _wrapped(mapped[1]))
    planes = sinusoids(place.input_size, frequency, phases)
    for name, apply in paths.items():
        entered = np.rint(planes) if name == "uint8" else planes
        amplitude, _ = fit(entered[(slice(None), *place.source())], frequency)
        out, rest = fit(apply(entered)[(slice(None), *place.inner())], mapped)
        for which, phase in enumerate(phases):
            yield Point(
                arithmetic=name,
                step=step,
                angle=angle,
                phase=float(phase),
                input_radius=2 * math.hypot(*frequency),
                mapped_radius=2 * math.hypot(*mapped),
                output_radius=2 * math.hypot(*landed),
                aliased=max(map(abs, mapped)) > 0.5,
                gain=float(out[which] / amplitude[which]),
                elsewhere=float(rest[which] / (amplitude[which] ** 2 / 2)),
            )


def sinusoids(size: tuple[int, int], frequency: Vector, phases: npt.NDArray[np.float64]) -> Planes:
    """Return 127.5 + 96 cos(2 pi (fx x + fy y) + phase), (P, H, W), for a (W, H) size."""
    along = _wave(size[0], frequency[0])
    down = AMPLITUDE * np.exp(1j * phases)[:, None] * _wave(size[1], frequency[1])
    planes: Planes = down.real[..., None] * along.real - down.imag[..., None] * along.imag
    return planes + MIDDLE


def _wave(size: int, frequency: float) -> npt.NDArray[np.complex128]:
    wave: npt.NDArray[np.complex128] = np.exp(2j * np.pi * frequency * np.arange(size))
    return wave


def fit(
    planes: Planes, frequency: Vector
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Fit constant + sinusoid of a known frequency by least squares.

    Args:
        planes: (P, h, w).
        frequency: (x, y), cycles per pixel; folded ones are the same.

    Returns:
        (P,) amplitude, and (P,) mean square of what remains.
    """
    height, width = planes.shape[1:]
    down, along = _wave(height, frequency[1]), _wave(width, frequency[0])
    pixels = height * width
    one = complex(down.sum() * along.sum())
    two = complex((down**2).sum() * (along**2).sum())
    normal = np.array(
        [
            [pixels, one.real, one.imag],
            [one.real, (pixels + two.real) / 2, two.imag / 2],
            [one.imag, two.imag / 2, (pixels - two.real) / 2],
        ]
    )
    centred = planes - MIDDLE
    # a real image times a complex vector would be turned into a complex image first
    projected = (centred @ along.real + 1j * (centred @ along.imag)) @ down
    right = np.stack([centred.sum(axis=(1, 2)), projected.real, projected.imag])
    solved = np.linalg.lstsq(normal, right, rcond=1e-12)[0]
    left = (centred**2).sum(axis=(1, 2)) - (solved * right).sum(axis=0)
    # what cancellation leaves of a perfect fit may be below 0
    return np.hypot(solved[1], solved[2]), np.maximum(left, 0.0) / pixels
