"""From a model's entry to what evaluation does to an image, without building the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.data.arrays import array_images
from bench.data.base import Transform, load_batch
from bench.entries.dataset import DatasetEntry
from bench.entries.model import ModelEntry
from bench.errors import BenchError
from bench.models import preprocessing
from bench.probes.geometry import Apply, Planes

TYPICAL_SIZE = (500, 375)
"""(W, H) of the commonest ImageNet photograph."""
SIDES, ASPECT = (16, 4096), 8
"""Smallest and largest side of an input image, and how often the shorter goes into the longer."""


@dataclass(frozen=True)
class Paths:
    """The way of images into one model.

    Attributes:
        settings: of the transform, for the metadata.
        apply: arithmetic -> the way; "uint8" is what evaluation does, "float32" the same
            resampling without rounding to 8 bits.
    """

    settings: Mapping[str, Any]
    apply: Mapping[str, Apply]


def paths(entry: ModelEntry, dataset: DatasetEntry) -> Paths:
    """Return the way of images into a model.

    Raises:
        BenchError: timm does not know the model.
    """
    if entry.tag is not None:
        from bench.models.timm_names import known_tag

        known_tag(entry.tag)
    settings = preprocessing.settings(entry, dataset)
    transform = preprocessing.transform(dataset, settings)

    def rounded(planes: Planes) -> Planes:
        return _as_evaluated(planes, transform, dataset.channels)

    return Paths(settings, {"uint8": rounded, "float32": _unrounded(dataset, settings)})


def input_size(chosen: tuple[int, int] | None, dataset: DatasetEntry) -> tuple[int, int]:
    """Return the (W, H) of input images.

    Args:
        chosen: what the user asked for, or None.
        dataset: of the model.

    Raises:
        BenchError: a size that makes no sense, or that the data set's images do not have.
    """
    stored = (dataset.size, dataset.size)
    if chosen is None:
        return TYPICAL_SIZE if dataset.transform else stored
    fits = all(SIDES[0] <= side <= SIDES[1] for side in chosen)
    if not fits or max(chosen) > ASPECT * min(chosen):
        raise BenchError(
            f"expected --input-size with sides from {SIDES[0]} to {SIDES[1]} pixels and at most "
            f"{ASPECT} to 1, got {chosen[0]}x{chosen[1]}; the default is "
            f"{TYPICAL_SIZE[0]}x{TYPICAL_SIZE[1]}"
        )
    if not dataset.transform and chosen != stored:
        raise BenchError(
            f"expected --input-size {stored[0]}x{stored[1]} for data set {dataset.name!r}, whose "
            f"images are used as stored, got {chosen[0]}x{chosen[1]}; leave it out"
        )
    return chosen


def _as_evaluated(planes: Planes, transform: Transform | None, channels: int) -> Planes:
    """Send planes through the very function that evaluation loads images with.

    An RGB image carries three planes; what is missing in the last one is black.
    """
    pixels = np.rint(planes).astype(np.uint8)
    if channels == 3:
        fill = -len(pixels) % 3
        padded = np.concatenate([pixels, np.zeros((fill, *pixels.shape[1:]), dtype=np.uint8)])
        pixels = padded.reshape(-1, 3, *pixels.shape[1:]).transpose(0, 2, 3, 1)
    images = array_images(np.ascontiguousarray(pixels), np.zeros(len(pixels)), "probe")
    batch = load_batch(images, range(len(images)), transform).numpy().astype(np.float64)
    # loading divides integers by 255 in float32: this gives the same integers back
    return np.rint(255 * batch.reshape(-1, *batch.shape[2:])[: len(planes)])


def _unrounded(dataset: DatasetEntry, settings: dict[str, Any]) -> Apply:
    if not dataset.transform:
        return lambda planes: planes
    from bench.models.timm_source import unrounded_transform

    transform = unrounded_transform(settings)

    def apply(planes: Planes) -> Planes:
        return np.stack([transform(plane.astype(np.float32)) for plane in planes], dtype=np.float64)

    return apply
