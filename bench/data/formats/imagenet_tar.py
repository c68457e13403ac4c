"""ImageNet's official validation images: `ILSVRC2012_img_val.tar`, or what it unpacks to.

The labels come from `ILSVRC2012_validation_ground_truth.txt`, alone or in the development kit
(`ILSVRC2012_devkit_t12`, a folder or .tar.gz). Line k holds the class of image k as a number from
1 to 1000 of the kit's own order (1 is kit fox), not the sorted order that models use (1 is
goldfish): the entry's `ground_truth_classes` translates. The result is held to the fingerprint of
the official labels, so neither another list nor a wrong translation can pass.

Source: https://www.image-net.org/challenges/LSVRC/2012/ and the kit's readme.txt.
"""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.data.base import Images, Int64Array, UInt8Image
from bench.data.check import labels_fingerprint
from bench.data.decode import MOST_BYTES, decode_image
from bench.data.files import FileImages
from bench.data.formats.bounded import members_of, read_bounded
from bench.data.formats.folders import candidates, one_line
from bench.data.formats.numbering import sample_ids
from bench.entries.dataset import DatasetEntry
from bench.errors import BenchError

_TAR = "ILSVRC2012_img_val.tar"
_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
_KIT = "ILSVRC2012_devkit_t12"
_IMAGES = "ILSVRC2012_val_*.JPEG"


@dataclass(frozen=True, eq=False)
class TarImages(Images):
    """Encoded images in an uncompressed tar, read where they lie.

    Attributes:
        path: the tar.
        names: (N,) names in it.
        spans: (N, 2) offset and size of each image in bytes.
    """

    ids: Int64Array
    labels: Int64Array
    source: str
    path: Path
    names: tuple[str, ...]
    spans: Int64Array

    def decode(self, position: int) -> UInt8Image:
        """Return the image, (H, W, 3) uint8. Raises BenchError if it is broken."""
        offset, size = (int(v) for v in self.spans[position])
        try:
            with self.path.open("rb") as file:
                file.seek(offset)
                data = file.read(size)
        except OSError as error:
            raise BenchError(
                f"expected a readable archive, got {error.strerror}, in {self.path}; check it"
            ) from None
        return decode_image(data, self.where(position), rgb=True)

    def where(self, position: int) -> str:
        """Return name and archive of the image."""
        return f"{self.names[position]} of {self.path}"


def expects(entry: DatasetEntry, split: str) -> str:
    """Return the names of the files that this layout reads, for errors."""
    return f"{_TAR} (or {_IMAGES} unpacked) with {_TRUTH} or {_KIT}.tar.gz beside it"


def read(folder: Path, entry: DatasetEntry, split: str) -> Images | None:
    """Return the validation images, or None if there are none in this form.

    Args:
        folder: the folder of the archive or of the unpacked images, one above it, or the archive.
        entry: ImageNet.
        split: "test"; the training images are read from class folders only.

    Raises:
        BenchError: no labels beside the images, or not the official ones; a broken archive.
    """
    if split != "test":
        return None
    if folder.is_file():
        return _read_tar(folder, entry) if folder.suffix == ".tar" else None
    for base in candidates(folder, entry.name):
        if (base / _TAR).is_file():
            return _read_tar(base / _TAR, entry)
        for place in (base, base / "val", base / "ILSVRC2012_img_val"):
            files = sorted(place.glob(_IMAGES))
            if files:
                return _read_files(files, entry)
    return None


def _read_tar(path: Path, entry: DatasetEntry) -> TarImages:
    try:
        with tarfile.open(path, "r:") as archive:
            members = [m for m in archive if m.isfile() and m.name.endswith(".JPEG")]
    except (tarfile.TarError, OSError, EOFError) as error:
        raise BenchError(
            f"expected a complete archive, got a broken one ({one_line(error)}), in {path}; "
            "download it again"
        ) from None
    if any(m.size > MOST_BYTES for m in members):
        raise BenchError(
            f"expected images of at most {MOST_BYTES} bytes, got a larger one, in {path}"
        )
    if not members or members[-1].offset_data + members[-1].size > path.stat().st_size:
        raise BenchError(
            f"expected a complete archive of {_IMAGES}, got {len(members)} images and "
            f"{path.stat().st_size} bytes, in {path}; download it again"
        )
    names = [m.name for m in members]
    ids = sample_ids(names, entry, "test", str(path))
    order = np.argsort(ids)
    return TarImages(
        ids=ids[order],
        labels=_labels(path.parent, entry)[ids[order]],
        source=f"imagenet-tar {path}",
        path=path,
        names=tuple(names[k] for k in order),
        spans=np.array([(members[k].offset_data, members[k].size) for k in order], dtype=np.int64),
    )


def _read_files(files: list[Path], entry: DatasetEntry) -> FileImages:
    place = files[0].parent
    ids = sample_ids([f.name for f in files], entry, "test", str(place))
    order = np.argsort(ids)
    return FileImages(
        ids=ids[order],
        labels=_labels(place, entry)[ids[order]],
        source=f"imagenet-tar {place}",
        files=tuple(files[k] for k in order),
        rgb=True,
    )


# ---------------------------------------------------------------- labels


def _labels(place: Path, entry: DatasetEntry) -> Int64Array:
    """Return the class index of each validation image, (50000,) int64."""
    text, where = _ground_truth(place)
    translation = entry.ground_truth_classes
    assert translation is not None, "the layout imagenet-tar is for entries that translate labels"
    try:
        numbers = np.array([int(word) for word in text.split()], dtype=np.int64)
    except ValueError as error:
        raise BenchError(f"expected one number a line, got {one_line(error)}, in {where}") from None
    if len(numbers) != entry.test_count or not _within(numbers, len(translation)):
        raise BenchError(
            f"expected {entry.test_count} numbers from 1 to {len(translation)}, got "
            f"{len(numbers)}{_span(numbers)}, in {where}; get it from the development kit"
        )
    labels = np.array(translation, dtype=np.int64)[numbers - 1]
    known = entry.fingerprints.labels
    if known is not None and labels_fingerprint(labels) != known:
        raise BenchError(
            f"expected the official labels (fingerprint {known[:12]}), got others "
            f"({labels_fingerprint(labels)[:12]}), in {where}; get it from the development kit"
        )
    return labels


def _within(numbers: Int64Array, largest: int) -> bool:
    return bool(len(numbers) and numbers.min() >= 1 and numbers.max() <= largest)


def _span(numbers: Int64Array) -> str:
    return f" from {numbers.min()} to {numbers.max()}" if len(numbers) else ""


def _ground_truth(place: Path) -> tuple[str, Path]:
    """Return the text of the list, found beside the images or one folder above."""
    for base in (place, place.parent):
        for path in (base / _TRUTH, base / "data" / _TRUTH, base / _KIT / "data" / _TRUTH):
            if path.is_file():
                return read_bounded(path).decode("ascii", errors="replace"), path
        kit = base / f"{_KIT}.tar.gz"
        if kit.is_file():
            return _from_kit(kit), kit
    raise BenchError(
        f"expected {_TRUTH} or {_KIT}.tar.gz with the labels beside the images, found neither, "
        f"in {place} and {place.parent}; download the development kit (tasks 1 and 2)"
    )


def _from_kit(path: Path) -> str:
    found = members_of(path, (_TRUTH,))
    if _TRUTH not in found:
        raise BenchError(
            f"expected {_TRUTH} in the archive, found none, in {path}; download it again"
        )
    return found[_TRUTH].decode("ascii", errors="replace")
