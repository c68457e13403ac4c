"""What every image set must fulfil before anything is measured on it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.data.arrays import ArrayImages
from bench.data.base import Images, Int64Array, UInt8Image, fingerprint
from bench.data.decode import wrong_size
from bench.entries.dataset import DatasetEntry
from bench.errors import BenchError


@dataclass(frozen=True, eq=False)
class SizedImages(Images):
    """An image set whose images are compared with the expected size when they are decoded.

    Attributes:
        inner: the set.
        shape: what each image must be, (H, W) or (H, W, 3).
    """

    ids: Int64Array
    labels: Int64Array
    source: str
    inner: Images
    shape: tuple[int, ...]

    def decode(self, position: int) -> UInt8Image:
        """Return the image, which has the expected shape, uint8.

        Raises:
            BenchError: it is broken or has another size.
        """
        pixels = self.inner.decode(position)
        if pixels.shape != self.shape:
            raise wrong_size(self.shape, pixels.shape, self.where(position))
        return pixels

    def where(self, position: int) -> str:
        """Return the inner set's words for the place of an image."""
        return self.inner.where(position)


def check_images(images: Images, entry: DatasetEntry) -> Images:
    """Return the set if it can be the entry's; its images are held to the entry's size.

    Args:
        images: as a reader gave it.
        entry: the data set that it should be.

    Raises:
        BenchError: no images, ids that are not increasing, a label out of range, or images of
            another size.
    """
    if len(images) == 0:
        raise BenchError(f"expected images of {entry.name}, got none, in {images.source}")
    assert (images.ids[1:] > images.ids[:-1]).all(), f"ids of {images.source} must increase"
    _check_labels(images, entry)
    if entry.transform:
        return images
    shape = (entry.size, entry.size) + ((3,) if entry.channels == 3 else ())
    if isinstance(images, ArrayImages):
        if images.pixels.shape[1:] != shape:
            raise wrong_size(shape, images.pixels.shape[1:], images.source)
        return images
    sized = SizedImages(images.ids, images.labels, images.source, images, shape)
    sized.decode(0)
    return sized


def _check_labels(images: Images, entry: DatasetEntry) -> None:
    outside = ((images.labels < 0) | (images.labels >= len(entry.classes))).nonzero()[0]
    if len(outside):
        first = int(outside[0])
        raise BenchError(
            f"expected labels from 0 to {len(entry.classes) - 1} ({entry.name}), "
            f"got {int(images.labels[first])}, in {images.where(first)} "
            f"({len(outside)} such images); is this {entry.title}?"
        )


def check_fingerprint(images: Images, entry: DatasetEntry, split: str) -> None:
    """Compare the images with the fingerprints that the entry knows.

    Decoded sets are compared whole where the whole is known; sets that decode on demand by
    their first 1000 or 20, so that opening them stays quick.

    Args:
        images: starts with the split's first image and lacks none in between.
        entry: the data set that it should be.
        split: "test" or "train".

    Raises:
        BenchError: the images are not those of the entry.
    """
    _check_all_labels(images, entry, split)
    for count, expected in _known(images, entry, split):
        if expected is None or len(images) < count or int(images.ids[count - 1]) != count - 1:
            continue
        found = fingerprint(images, range(count))
        if found != expected:
            raise BenchError(
                f"expected the first {count} {split} images of {entry.name} (fingerprint "
                f"{expected[:12]}), got others ({found[:12]}), in {images.source}; "
                "give the original files, in their original order"
            )
        return


def check_count(images: Images, entry: DatasetEntry, split: str) -> None:
    """Raise BenchError unless a set is the whole split, neither less nor more.

    Where images bear their number (`id_pattern`), a copy of some of them is as good.

    Args:
        images: as a reader gave it.
        entry: the data set that it should be.
        split: "test" or "train".

    Raises:
        BenchError: it has another number of images.
    """
    expected, found = entry.count(split), len(images)
    if found == expected or (split == "test" and entry.id_pattern is not None):
        return
    few = "a file is missing or cut off" if found < expected else "some are there twice"
    raise BenchError(
        f"expected the {expected} {split} images of {entry.title}, got {found}, in "
        f"{images.source}; {few}: give the whole split, once"
    )


def check_labels_of(images: Images, entry: DatasetEntry, split: str, registry_dir: Path) -> None:
    """Hold the labels of the ids that the entry lists to their fingerprint.

    Args:
        images: the set; lists of which it lacks an image are left out.
        entry: the data set that it should be.
        split: "test" or "train".
        registry_dir: where the lists are.

    Raises:
        BenchError: other labels, or a list that can't be read.
    """
    for file, expected in entry.fingerprints.labels_of.items() if split == "test" else ():
        try:
            words = (registry_dir / file).read_text(encoding="ascii").split()
            ids = np.array([int(word) for word in words], dtype=np.int64)
        except (OSError, ValueError, OverflowError) as error:
            raise BenchError(f"expected ids, got {error}, in {file}; restore it") from None
        positions = np.searchsorted(images.ids, ids).clip(max=len(images) - 1)
        if not (images.ids[positions] == ids).all():
            continue
        found = labels_fingerprint(images.labels[positions])
        if found != expected:
            raise BenchError(
                f"expected the labels of {entry.title} for the ids of {file} (fingerprint "
                f"{expected[:12]}), got others ({found[:12]}), in {images.source}; name the class "
                "folders after their classes, and keep each image in its own"
            )


def _check_all_labels(images: Images, entry: DatasetEntry, split: str) -> None:
    known = entry.fingerprints
    expected = known.labels if split == "test" else known.train_labels
    if expected is None or len(images) != entry.count(split):
        return
    found = labels_fingerprint(images.labels)
    if found != expected:
        raise BenchError(
            f"expected the {split} labels of {entry.title} (fingerprint {expected[:12]}), got "
            f"others ({found[:12]}), in {images.source}; check that classes and images are in "
            "their official order"
        )


def labels_fingerprint(labels: Int64Array) -> str:
    """Return the SHA-256 of all labels of a split, (N,), as little-endian int64."""
    return hashlib.sha256(labels.astype("<i8").tobytes()).hexdigest()


def _known(images: Images, entry: DatasetEntry, split: str) -> list[tuple[int, str | None]]:
    known = entry.fingerprints
    if split == "train":
        whole = [(entry.train_count, known.train)] if isinstance(images, ArrayImages) else []
        return [*whole]
    parts = [(1000, known.first1000), (20, known.first20)]
    return [(entry.test_count, known.test), *parts] if isinstance(images, ArrayImages) else parts


class _Tolerant(Images):
    """An image set whose broken images come as one black pixel, and are remembered."""

    def __init__(self, images: Images) -> None:
        self.ids, self.labels, self.source = images.ids, images.labels, images.source
        self._images = images
        self.broken: dict[int, BenchError] = {}

    def decode(self, position: int) -> UInt8Image:
        """Return the image, or one black pixel if it is broken."""
        try:
            return self._images.decode(position)
        except BenchError as error:
            self.broken[position] = error
            return np.zeros((1, 1), dtype=np.uint8)


def check_readable(images: Images, positions: Sequence[int], known: Sequence[int] = ()) -> str:
    """Decode images once, so that a broken one is found before hours of computing.

    Args:
        images: the set.
        positions: which ones to decode.
        known: which ones to decode too and to identify.

    Returns:
        The fingerprint of the `known` images (`bench.data.base.fingerprint`).

    Raises:
        BenchError: some are broken; the text counts them and names the first three.
    """
    tolerant = _Tolerant(images)
    digest = fingerprint(tolerant, known)
    for position in sorted(set(positions) - set(known)):
        tolerant.decode(position)
    broken = sorted(tolerant.broken.items())
    if len(broken) == 1:
        raise broken[0][1]
    if broken:
        names = ", ".join(images.where(position) for position, _ in broken[:3])
        more = ", ..." if len(broken) > 3 else ""
        raise BenchError(
            f"expected {len({*positions, *known})} readable images, got {len(broken)} broken ones "
            f"({names}{more}), in {images.source}; replace these files (the result would be of "
            "other images if they were left out)"
        )
    return digest
