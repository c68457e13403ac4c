"""The images of a cell: a table from variant to what is done to both splits."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.entries import registry
from bench.entries.factors import Factors
from bench.grid import frequency_grid
from bench.studies.source import Source
from bench.training.job import Split
from bench.training.train import read_splits

Floats = npt.NDArray[np.float64]

LOW_PASS = 0.25
"""Radius, in units of Nyquist, from which low-passed images have nothing."""
WHITENED_FLOOR = 1e-3
"""Share of the mean power over frequencies that is added before whitening, so that frequencies
that the images hardly have are not blown up."""


@dataclass(frozen=True)
class Data:
    """Both splits of a cell."""

    train: Split
    test: Split
    classes: int


def load(factors: Factors, seed: int, source: Source) -> Data:
    """Return the images that a cell is trained and measured on.

    Args:
        factors: of the cell.
        seed: of the cell; shuffled labels depend on it.
        source: where images come from.

    Raises:
        BenchError: they are not at hand.
    """
    if factors.data in GENERATED:
        return GENERATED[factors.data](factors, seed)
    found = VARIANTS[factors.data](_natural(factors.dataset, source), seed)
    if factors.train_count is None:
        return found
    return replace(found, train=_first(found.train, factors.train_count))


@lru_cache(maxsize=1)
def _natural(dataset: str, source: Source) -> Data:
    entry = registry.dataset(dataset)
    folder = None if source.data_dir is None else Path(source.data_dir)
    train, test = read_splits(entry, source.data, folder, source.limit, source.offline)
    return Data(train, test, len(entry.classes))


def _first(split: Split, count: int) -> Split:
    return _made(split, split.images[:count], split.labels[:count], f"first {count}")


def _made(split: Split, images: Any, labels: Any, how: str) -> Split:
    """Return another split made from one, with a fingerprint that says from which, and how."""
    digest = hashlib.sha256(f"{split.fingerprint} {how} ".encode())
    digest.update(np.ascontiguousarray(images).tobytes())
    digest.update(np.ascontiguousarray(labels, dtype="<i8").tobytes())
    return Split(images, labels, digest.hexdigest())


def _shuffled(data: Data, seed: int) -> Data:
    """Give the training images each other's labels; test images keep theirs."""
    order = np.random.default_rng([seed, 0x5AFF1E]).permutation(len(data.train.labels))
    labels = data.train.labels[order]
    return replace(data, train=_made(data.train, data.train.images, labels, "shuffled labels"))


def _low_passed(data: Data, seed: int) -> Data:
    """Take away all frequencies from a radius on."""
    height, width = data.train.images.shape[1:3]
    mask = (frequency_grid(height, width).radius < LOW_PASS).astype(float)
    return _filtered(data, mask.reshape(height, width), "low-passed", centred=False)


def _whitened(data: Data, seed: int) -> Data:
    """Give all frequencies the mean power that they have together, over the training images."""
    images = np.asarray(data.train.images, dtype=np.float64) / 255.0
    power = np.zeros(images.shape[1:3])
    for part in np.array_split(images, max(1, len(images) // 2000)):
        power += (np.abs(np.fft.fft2(part - 0.5, norm="ortho")) ** 2).sum(axis=0)
    power[0, 0] = 0.0
    power /= len(images)
    mean = power.sum() / (power.size - 1)
    gain = np.sqrt(mean / (power + WHITENED_FLOOR * mean))
    gain[0, 0] = 0.0
    return _filtered(data, gain, "whitened", centred=True)


def _filtered(data: Data, gain: Floats, how: str, centred: bool) -> Data:
    """Multiply every image's transform by a gain; the result is float32 in [0, 1].

    Args:
        data: gray images.
        gain: (H, W), as `numpy.fft.fft2` orders frequencies.
        how: for the fingerprint.
        centred: put the mean at a half and, by one factor for all images, 99.9 % of the values
            inside the range, before the rest is cut off.
    """

    def passed(split: Split) -> npt.NDArray[np.float32]:
        parts = np.array_split(split.images, max(1, len(split.images) // 2000))
        spectra = (np.fft.fft2(part.astype(np.float64) / 255) * gain for part in parts)
        return np.concatenate([np.fft.ifft2(s).real.astype(np.float32) for s in spectra])

    train, test = passed(data.train), passed(data.test)
    if centred:
        scale = 0.5 / float(np.quantile(np.abs(train[:2000]), 0.999))
        train, test = 0.5 + scale * train, 0.5 + scale * test
    train, test = (np.clip(x, 0, 1).astype(np.float32) for x in (train, test))
    return replace(
        data,
        train=_made(data.train, train, data.train.labels, how),
        test=_made(data.test, test, data.test.labels, how),
    )


VARIANTS: dict[str, Callable[[Data, int], Data]] = {
    "natural": lambda data, seed: data,
    "shuffled-labels": _shuffled,
    "low-passed": _low_passed,
    "whitened": _whitened,
}
"""Variant -> what is done to the data set's images."""

GENERATED: dict[str, Callable[[Factors, int], Data]] = {}
"""Variant -> what makes its images from factors and seed."""
