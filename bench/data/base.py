"""What every source of images gives: :class:`Images`."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

UInt8Image = npt.NDArray[np.uint8]
"""One decoded image, (H, W) for gray or (H, W, 3) for RGB, uint8."""

Transform = Callable[[UInt8Image], "torch.Tensor"]
"""A model's evaluation transform: one decoded RGB image -> (C, H, W) float32 in [0, 1]."""


class Images(ABC):
    """A labelled image set that decodes on demand.

    Attributes:
        ids: (N,) int64, index of each image in its split, increasing.
        labels: (N,) int64, class index in [0, classes).
        source: where the images came from, for the metadata ("idx /data/fashion-mnist").
    """

    ids: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    source: str

    @abstractmethod
    def decode(self, position: int) -> UInt8Image:
        """Return the image at a position (0 .. N - 1) as it is stored, (H, W) or (H, W, 3) uint8."""

    def __len__(self) -> int:
        return len(self.ids)


def fingerprint(images: Images, positions: Iterable[int] | None = None) -> str:
    """Return the SHA-256 over id, label, shape and decoded pixels of each image, in order.

    The same images give the same value whatever format they were read from.

    Args:
        images: the set.
        positions: which images; all by default.
    """
    digest = hashlib.sha256()
    for position in range(len(images)) if positions is None else positions:
        pixels = images.decode(position)
        head = [int(images.ids[position]), int(images.labels[position]), *pixels.shape]
        digest.update(np.asarray(head, dtype="<i8").tobytes())
        digest.update(np.ascontiguousarray(pixels).tobytes())
    return digest.hexdigest()


def load_batch(
    images: Images, positions: Sequence[int], transform: Transform | None = None
) -> torch.Tensor:
    """Return images as one float32 batch in [0, 1].

    Args:
        images: the set.
        positions: positions in the set, (B,).
        transform: the model's evaluation transform; None: pixels / 255.

    Returns:
        (B, C, H, W) float32 in [0, 1].
    """
    import torch

    if transform is not None:
        return torch.stack([transform(images.decode(p)) for p in positions])
    pixels = np.stack([images.decode(p) for p in positions])
    if pixels.ndim == 3:
        pixels = pixels[..., None]
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))).float() / 255
