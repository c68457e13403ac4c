"""White noise through an image transform: power on each ring of output frequencies."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.probes.geometry import Apply, Geometry
from bench.spectrum import frequency_grid

PLANES, PIXELS, MOST_PLANES = 96, 224 * 224, 3072
"""Gray noise images for an output of so many pixels, and the most for a smaller one."""
TOGETHER = 3
"""Planes of one RGB image."""
LEVELS = (64, 192)
"""The noise takes each integer from the first to below the second equally often."""


@dataclass(frozen=True)
class Ring:
    """Mean power of transformed white noise on one ring of output frequencies.

    Attributes:
        arithmetic: as in :class:`Point`.
        grid: "ring" (one for each integer frequency) or "bin64" (64 equal bins to sqrt 2).
        number: place in its grid, from 0.
        input_radius: mean radius in units of the input's Nyquist frequency.
        output_radius: mean radius in units of the output's.
        n: frequencies of the ring, of all images together.
        power: mean |fft2(norm="ortho")|^2 / variance of the input.
        gain: sqrt(power / (scale_x scale_y)): 1 for a sinusoid that passes unchanged.
    """

    arithmetic: str
    grid: str
    number: int
    input_radius: float
    output_radius: float
    n: int
    power: float
    gain: float


def planes_for(place: Geometry) -> int:
    """Return the number of noise images that gives small outputs as many frequencies."""
    pixels = math.prod(place.output_size)
    return min(MOST_PLANES, PLANES * max(1, round(PIXELS / pixels)))


def respond(
    name: str, apply: Apply, place: Geometry, seed: int, planes: int
) -> tuple[list[Ring], float]:
    width, height = place.input_size
    rng = np.random.default_rng([seed, 0])
    shown = (slice(place.start[1], place.stop[1]), slice(place.start[0], place.stop[0]))
    total, done = 0.0, 0
    while done < planes:
        some = min(TOGETHER, planes - done)
        noise = rng.integers(*LEVELS, size=(some, height, width)).astype(np.float64)
        out = apply(noise)[(slice(None), *shown)]
        total = total + (np.abs(np.fft.fft2(out - out.mean(), norm="ortho")) ** 2).sum(axis=0)
        done += some
    variance = ((LEVELS[1] - LEVELS[0]) ** 2 - 1) / 12
    power = np.asarray(total).ravel() / planes / variance
    return _rings(name, power, np.asarray(total).shape, place, planes)


def _rings(
    name: str, power: npt.NDArray[np.float64], shape: tuple[int, ...], place: Geometry, planes: int
) -> tuple[list[Ring], float]:
    grid = frequency_grid(shape[0], shape[1])
    radius = grid.radius.numpy()
    fy, fx = np.meshgrid(*(np.fft.fftfreq(n) for n in shape), indexing="ij")
    into = 2 * np.hypot(fx * place.scale[0], fy * place.scale[1]).ravel()
    area = place.scale[0] * place.scale[1]
    found = []
    native = np.rint(radius * min(shape) / 2).astype(int)
    for kind, numbers in (("ring", native), ("bin64", grid.bin.numpy())):
        for number in np.unique(numbers[1:]):
            here = numbers == number
            here[0] = False
            mean = float(power[here].mean())
            found.append(
                Ring(
                    arithmetic=name,
                    grid=kind,
                    number=int(number),
                    input_radius=float(into[here].mean()),
                    output_radius=float(radius[here].mean()),
                    n=int(here.sum()) * planes,
                    power=mean,
                    gain=math.sqrt(mean / area),
                )
            )
    rest = power[1:]
    return found, float((radius[1:] * rest).sum() / rest.sum())
