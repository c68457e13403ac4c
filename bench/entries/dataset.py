"""Data-set entries: `registry/datasets/<name>.toml`."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, model_validator

from bench.entries.fields import Frozen, Name, Sha256


class Hub(Frozen):
    """Where the data set is on the Hugging Face hub."""

    id: str
    config: str | None = None
    folder: str
    """Folder of the repository that holds the Parquet shards `<split>-*.parquet`."""
    revision: str
    train_split: str = "train"
    test_split: str = "test"
    image_column: str = "image"
    label_column: str = "label"
    gated: bool = False


class Fingerprints(Frozen):
    """SHA-256 of decoded pixels and labels (see `bench.data.base.fingerprint`)."""

    test: Sha256 | None = None
    """The whole test split."""
    train: Sha256 | None = None
    first1000: Sha256 | None = None
    """The first 1000 test images: what the protocols measure on."""
    first20: Sha256 | None = None
    """The first 20 test images: foolbox's bundled samples, an identity check for sets
    whose whole split was not at hand when the entry was written."""
    labels: Sha256 | None = None
    """All labels of the test split in order, as little-endian int64: checked where a whole
    split is too large to decode at every start (ImageNet)."""


def _check_pattern(text: str) -> None:
    try:
        groups = re.compile(text).groups
    except re.error as error:
        raise ValueError(f"id_pattern must be a regular expression: {error}") from None
    if groups < 1:
        raise ValueError("id_pattern must have a group that holds the number")


class DatasetEntry(Frozen):
    """One data set: `registry/datasets/<name>.toml`."""

    name: Name
    title: str
    channels: Literal[1, 3]
    size: int = Field(ge=1)
    """Side of the (square) image as stored; for ImageNet the evaluation default."""
    native_size: int = Field(ge=1)
    """Native resolution in pixels: where the images' own Nyquist frequency is."""
    classes: tuple[str, ...] = Field(min_length=2)
    """Class names in index order."""
    class_folders: tuple[str, ...] | None = None
    """Names of the class folders in index order (ImageNet: WordNet ids); None: `classes`."""
    id_pattern: str | None = None
    """Regular expression whose first group is the number (from 1) of a test image in its
    file name, where the split's own order is by number and not by folder (ImageNet)."""
    ground_truth_classes: tuple[int, ...] | None = None
    """Class index of each number (1, 2, ...) in the official list of validation labels, which
    numbers classes in another order (ImageNet)."""
    train_count: int = Field(ge=1)
    test_count: int = Field(ge=1)
    layouts: tuple[Literal["idx", "cifar", "svhn", "folder", "parquet", "imagenet-tar"], ...]
    """On-disk formats that --data-dir tries, in this order."""
    transform: bool = False
    """True: images pass the model's own evaluation transform (ImageNet)."""
    embedded: str | None = None
    """Parquet file relative to `registry/` with the protocol's images."""
    samples: str | None = None
    """Name of the data set in foolbox's bundled sample images."""
    hub: Hub
    fingerprints: Fingerprints = Fingerprints()
    licence: str
    homepage: str
    notes: str = ""

    @model_validator(mode="after")
    def _layouts_have_their_keys(self) -> DatasetEntry:
        for key in ("class_folders", "ground_truth_classes"):
            values = getattr(self, key)
            if values is not None and len(values) != len(self.classes):
                raise ValueError(
                    f"{key} must hold {len(self.classes)} values, one a class, not {len(values)}"
                )
        if "cifar" in self.layouts and len(self.classes) not in (10, 100):
            raise ValueError(f'layout "cifar" needs 10 or 100 classes, not {len(self.classes)}')
        if "imagenet-tar" in self.layouts and None in (self.id_pattern, self.ground_truth_classes):
            raise ValueError('layout "imagenet-tar" needs id_pattern and ground_truth_classes')
        if self.id_pattern is not None:
            _check_pattern(self.id_pattern)
        return self

    @property
    def chance(self) -> float:
        """Accuracy of guessing, in [0, 1]."""
        return 1.0 / len(self.classes)
