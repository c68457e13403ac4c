"""The frequency response of an image transform: sinusoids and white noise in, gain out.

Frequencies are vectors in cycles per pixel, radii in units of Nyquist: r = |f| / 0.5. An input
frequency f lands at f / scale of the output; beyond the output's Nyquist frequency it is folded
back (aliased).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from bench.probes import noise, sinusoids
from bench.probes.geometry import Apply, Geometry, geometry
from bench.probes.noise import Ring
from bench.probes.sinusoids import Point

MAX_RADII, MIN_RADII = 32, 8


@dataclass(frozen=True)
class Response:
    """The measured response of one transform to one input size.

    Attributes:
        geometry: where the transform puts the input.
        seed: of phases and noise.
        radii: number of nominal radii.
        noise_planes: gray images of white noise.
        points: one for each sinusoid and arithmetic.
        rings: both grids, for each arithmetic.
        noise_rfc: arithmetic -> radial frequency centroid of the transformed noise.
    """

    geometry: Geometry
    seed: int
    radii: int
    noise_planes: int
    points: tuple[Point, ...]
    rings: tuple[Ring, ...]
    noise_rfc: Mapping[str, float]


def measure(
    paths: Mapping[str, Apply],
    input_size: tuple[int, int],
    *,
    seed: int = 0,
    radii: int | None = None,
    noise_planes: int | None = None,
) -> Response:
    """Measure the response of a transform.

    Args:
        paths: arithmetic -> the transform; "float32" must be there.
        input_size: (W, H) of the input images, pixels.
        seed: of phases and noise.
        radii: number of nominal radii between 0 and sqrt 2; None: by the output's size.
        noise_planes: number of gray noise images; None: by the output's size.

    Raises:
        BenchError: too little of the input is left to measure on.
    """
    place = geometry(paths["float32"], input_size)
    count = radii or min(MAX_RADII, max(MIN_RADII, min(place.output_size) // 2))
    points = [
        point
        for step, angle, frequency in sinusoids.frequencies(place, count)
        for point in sinusoids.respond(paths, place, step, angle, frequency, seed)
    ]
    planes = noise_planes or noise.planes_for(place)
    rings: list[Ring] = []
    rfc = {}
    for name, apply in paths.items():
        found, rfc[name] = noise.respond(name, apply, place, seed, planes)
        rings += found
    return Response(place, seed, count, planes, tuple(points), tuple(rings), rfc)


@dataclass(frozen=True)
class Line:
    """All sinusoids of one nominal radius that are (or are not) folded, one arithmetic.

    Attributes:
        step: number of the nominal radius.
        aliased: whether they are folded.
        input_radius, mapped_radius, output_radius: means, as in :class:`Point`.
        n: sinusoids.
        gain: mean over orientations and phases.
        low, high: smallest and largest.
        elsewhere: mean.
    """

    step: int
    aliased: bool
    input_radius: float
    mapped_radius: float
    output_radius: float
    n: int
    gain: float
    low: float
    high: float
    elsewhere: float


def by_radius(response: Response, arithmetic: str) -> list[Line]:
    """Return the sinusoids' means over orientations and phases, by radius."""
    lines = []
    for step in range(response.radii):
        for aliased in (False, True):
            here = [
                p
                for p in response.points
                if (p.step, p.aliased, p.arithmetic) == (step, aliased, arithmetic)
            ]
            if not here:
                continue
            gains = [p.gain for p in here]
            lines.append(
                Line(
                    step=step,
                    aliased=aliased,
                    input_radius=fmean(p.input_radius for p in here),
                    mapped_radius=fmean(p.mapped_radius for p in here),
                    output_radius=fmean(p.output_radius for p in here),
                    n=len(here),
                    gain=fmean(gains),
                    low=min(gains),
                    high=max(gains),
                    elsewhere=fmean(p.elsewhere for p in here),
                )
            )
    return lines
