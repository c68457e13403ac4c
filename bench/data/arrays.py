"""Images that are already decoded: one array in memory, for the small data sets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.data.base import Images, Int64Array, UInt8Image


@dataclass(frozen=True, eq=False)
class ArrayImages(Images):
    """A whole split as one array.

    Attributes:
        pixels: (N, H, W) or (N, H, W, 3) uint8.
    """

    ids: Int64Array
    labels: Int64Array
    source: str
    pixels: npt.NDArray[np.uint8]

    def decode(self, position: int) -> UInt8Image:
        """Return one image of the array, (H, W) or (H, W, 3) uint8."""
        image: UInt8Image = self.pixels[position]
        return image

    def fractions(self) -> npt.NDArray[np.float64]:
        """Return all images as (N, C, H, W) in [0, 1]."""
        images = self.pixels / 255.0
        return images[:, None] if images.ndim == 3 else np.moveaxis(images, -1, 1)


def array_images(
    pixels: npt.NDArray[np.uint8], labels: npt.NDArray[Any], source: str
) -> ArrayImages:
    """Return a whole split, its ids being 0 .. N - 1.

    Args:
        pixels: (N, H, W) or (N, H, W, 3) uint8.
        labels: (N,) class indices.
        source: where they came from.
    """
    assert len(pixels) == len(labels), "readers compare the counts first"
    return ArrayImages(
        ids=np.arange(len(labels), dtype=np.int64),
        labels=np.asarray(labels, dtype=np.int64),
        source=source,
        pixels=pixels,
    )
