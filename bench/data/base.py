"""What every source of images gives: :class:`Images`."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bench.entries.ids import places
from bench.errors import BenchError

if TYPE_CHECKING:
    import PIL.Image
    import torch

UInt8Image = npt.NDArray[np.uint8]
"""One decoded image, (H, W) for gray or (H, W, 3) for RGB, uint8."""

Int64Array = npt.NDArray[np.int64]

Transform = Callable[["PIL.Image.Image"], "torch.Tensor"]
"""A model's evaluation transform: one RGB image -> (C, H, W) float32 in [0, 1].

It takes a PIL image because timm's and torchvision's transforms do: given an array or a
tensor they would resize with other kernels.
"""


class Images(ABC):
    """A labelled image set that decodes on demand, and that can be pickled.

    Attributes:
        ids: (N,) int64, index of each image in its split, strictly increasing.
        labels: (N,) int64, class index in [0, classes).
        source: where the images came from, for the metadata ("idx /data/fashion-mnist").
    """

    ids: Int64Array
    labels: Int64Array
    source: str

    @abstractmethod
    def decode(self, position: int) -> UInt8Image:
        """Return the image at a position (0 .. N - 1) as it is stored.

        Returns:
            (H, W) uint8 for gray, (H, W, 3) uint8 for RGB.

        Raises:
            BenchError: the bytes are not an image; the text names it.
        """

    def where(self, position: int) -> str:
        """Return words that lead a reader to the image at a position, for errors."""
        return f"image {int(self.ids[position])} of {self.source}"

    def __len__(self) -> int:
        return len(self.ids)


def positions_of(images: Images, ids: Sequence[int]) -> Int64Array:
    """Return the positions of sample ids in a set.

    Args:
        images: the set.
        ids: (n,) indices in the split.

    Returns:
        (n,) int64 positions, in the order of `ids`.

    Raises:
        BenchError: the set lacks one of the ids.
    """
    wanted = np.asarray(ids, dtype=np.int64)
    found, there = places(images.ids, wanted)
    if not there.all():
        missing = wanted[~there]
        raise BenchError(
            f"expected all of {len(wanted)} sample ids, found {int(there.sum())} (the first "
            f"missing one is {int(missing[0])}), in {images.source} with {len(images)} images; "
            "give a complete copy with --data-dir, or fewer samples with --limit"
        )
    return found


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
        positions: positions in the set, (B,), B >= 1.
        transform: the model's evaluation transform; None: pixels / 255.

    Returns:
        (B, C, H, W) float32 in [0, 1].
    """
    import torch

    if transform is not None:
        import PIL.Image

        return torch.stack([transform(PIL.Image.fromarray(images.decode(p))) for p in positions])
    pixels = np.stack([images.decode(p) for p in positions])
    if pixels.ndim == 3:
        pixels = pixels[..., None]
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))).float() / 255
