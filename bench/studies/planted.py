"""Images with a known right answer: stationary Gaussian noise, and classes told apart in one band.

An image is a half, plus noise whose power falls as 1 / radius^slope, plus its class's template; a
template has energy in one radial band only and Mahalanobis norm `NORM`. Then the best classifier
there can be is linear, and all of it is known in closed form (`bench.studies.optimum`). numpy only:
what measures and what reports both use it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from bench.entries.factors import PLANTED_CLASSES, Factors
from bench.errors import BenchError
from bench.grid import frequency_grid

Floats = npt.NDArray[np.float64]

VERSION = 1
"""Of the generator: another one makes other images."""
NORM = 2.0
"""Mahalanobis norm of every template: the best accuracy is about 86 %, whatever the band."""
HALF_WIDTH = 0.12
"""A band holds the radii that are nearer to its middle than this, in units of Nyquist."""
SPREAD = {False: 0.125, True: 0.25}
"""Boxed or not -> SD of a pixel: 4 or 2 SDs lie between a half and the ends of [0, 1]."""
SPLITS = ("templates", "train", "test")
TEST_COUNT = 2000
_CHUNK = 1000


@dataclass(frozen=True)
class Planted:
    """One data set: a law of images and labels, and a seed.

    Attributes:
        size: side of the square images, pixels.
        channels: 1 or 3, with the same law and independent noise.
        slope: the noise's power is radius^-slope, and at DC as at the lowest other radius.
        band: middle of the templates' band, radius in units of Nyquist.
        boxed: many pixels lie at the ends of [0, 1].
        seed: of templates and images.
    """

    size: int = 28
    channels: int = 1
    slope: float = 2.0
    band: float = 0.2
    boxed: bool = False
    seed: int = 0

    @classmethod
    def of(cls, factors: Factors, seed: int) -> Planted:
        """Return the data of a study's cell; the cell's seed is the data's, if it names none."""
        usual = cls()
        return cls(
            size=usual.size if factors.image_size is None else factors.image_size,
            channels=usual.channels if factors.channels is None else factors.channels,
            slope=usual.slope if factors.slope is None else factors.slope,
            band=usual.band if factors.band is None else factors.band,
            boxed=bool(factors.boxed),
            seed=seed if factors.data_seed is None else factors.data_seed,
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return self.channels, self.size, self.size

    @cached_property
    def power(self) -> Floats:
        """Return the noise's power at each frequency, (H*W,): the covariance's eigenvalues."""
        radius = frequency_grid(self.size, self.size).radius.copy()
        radius[0] = radius[radius > 0].min()
        power = radius**-self.slope
        scaled: Floats = power * (SPREAD[self.boxed] ** 2 / power.mean())
        return scaled

    @cached_property
    def whitened(self) -> Floats:
        """Return the templates as the whitening of the noise makes them, (K, C, H, W).

        Raises:
            BenchError: the band holds no frequency of this size.
        """
        radius = frequency_grid(self.size, self.size).radius
        inside = (np.abs(radius - self.band) <= HALF_WIDTH) & (radius > 0)
        if not inside.any():
            raise BenchError(
                f"expected a band with frequencies in it, found none within {HALF_WIDTH} of "
                f"{self.band:g} at {self.size} pixels; choose a band up to 1.4"
            )
        white = self._source("templates").standard_normal((PLANTED_CLASSES, *self.shape))
        found = self.filtered(white, inside.astype(np.float64))
        norms = np.sqrt((found**2).sum(axis=(1, 2, 3), keepdims=True))
        result: Floats = found * (NORM / norms)
        return result

    @cached_property
    def templates(self) -> Floats:
        """Return what is added to the images of each class, (K, C, H, W), [0, 1] pixel units."""
        return self.filtered(self.whitened, np.sqrt(self.power))

    def split(
        self, name: Literal["train", "test"], count: int
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Return the first images of a split, (N, C, H, W) in [0, 1], and labels, (N,).

        More of a split begins with the same images.
        """
        source = self._source(name)
        labels = np.empty(0, dtype=np.int64)
        images = np.empty((count, *self.shape), dtype=np.float32)
        amplitude = np.sqrt(self.power)
        for start in range(0, count, _CHUNK):
            drawn = source.integers(0, PLANTED_CLASSES, _CHUNK)
            white = source.standard_normal((_CHUNK, *self.shape))
            found = 0.5 + self.filtered(white, amplitude) + self.templates[drawn]
            part = images[start : start + _CHUNK]
            part[:] = np.clip(found[: len(part)], 0, 1)
            labels = np.concatenate([labels, drawn[: len(part)]])
        return images, labels

    def fingerprint(self, name: str, count: int) -> str:
        """Return what identifies images of a split: the law, the seed and how many, not bytes."""
        facts = [
            VERSION,
            PLANTED_CLASSES,
            NORM,
            HALF_WIDTH,
            SPREAD[self.boxed],
            asdict(self),
            name,
            count,
        ]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def _source(self, name: str) -> np.random.Generator:
        """Return the random numbers of one part; PCG64, apart from those of the other parts."""
        return np.random.Generator(np.random.PCG64([VERSION, self.seed, SPLITS.index(name)]))

    def filtered(self, images: Floats, gain: Floats) -> Floats:
        """Return images (..., H, W) whose transform is multiplied by a gain (H*W,)."""
        transform = np.fft.fft2(images) * gain.reshape(self.size, self.size)
        result: Floats = np.fft.ifft2(transform).real
        return result
