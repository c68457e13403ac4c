"""Data-set entries: `registry/datasets/<name>.toml`."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from bench.entries.fields import Count, Frozen, Inside, Name, Sha256, Side


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
    """All labels of the test split in order, as little-endian int64."""
    train_labels: Sha256 | None = None
    """The same of the training split."""
    labels_of: dict[Inside, Sha256] = Field(default_factory=dict)
    """The labels of some test images, in the order of a list of their ids (a file of the registry,
    one id a line), in the same form: holds a copy of just these images to their labels."""


def _check_pattern(text: str) -> None:
    try:
        groups = re.compile(text).groups
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"id_pattern must be a regular expression: {error}") from None
    if groups < 1:
        raise ValueError("id_pattern must have a group that holds the number")


INHERITED = (
    "channels", "size", "native_size", "transform", "train_count", "classes", "class_folders",
)  # fmt: skip
"""What an entry that is `like` another has from it where it says nothing itself."""


class DatasetEntry(Frozen):
    """One data set: `registry/datasets/<name>.toml`."""

    name: Name
    title: str
    like: Name | None = None
    """Another data set whose models apply to this one as well: same classes, size and channels."""
    class_subset: tuple[Annotated[int, Field(ge=0)], ...] | None = Field(default=None, min_length=2)
    """With `like`: index there of each class here, where these are only some of its classes. Of a
    model's logits these are used."""
    channels: Literal[1, 3]
    size: Side
    """Side of the (square) image as stored; for ImageNet the evaluation default."""
    native_size: Side
    """Native resolution in pixels: where the images' own Nyquist frequency is."""
    classes: tuple[str, ...] = Field(min_length=2)
    """Class names in index order."""
    class_folders: tuple[str, ...] | None = None
    """Names of the class folders in index order (ImageNet: WordNet ids); None: `classes`."""
    id_pattern: str | None = Field(default=None, max_length=200)
    """Regular expression whose first group is the number (from 1) of a test image in its
    file name, where the split's own order is by number and not by folder (ImageNet)."""
    ground_truth_classes: tuple[int, ...] | None = None
    """Class index of each number (1, 2, ...) in the official list of validation labels, which
    numbers classes in another order (ImageNet)."""
    train_count: Count
    """Images of the training split; with `like`, of the one that the models were trained on."""
    test_count: Count
    layouts: tuple[Name, ...] = Field(min_length=1)
    """On-disk formats that --data-dir tries, in this order (`bench.data.layouts` lists them)."""
    options: dict[Name, str | int] = Field(default_factory=dict)
    """What a layout wants to know of this data set (see its module)."""
    transform: bool = False
    """True: images pass the model's own evaluation transform (ImageNet)."""
    embedded: Inside | None = None
    """Parquet file relative to `registry/` with the protocol's images."""
    samples: str | None = None
    """Name of the data set in foolbox's bundled sample images."""
    hub: Hub | None = None
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
        if self.class_subset is not None and (
            self.like is None or len(set(self.class_subset)) != len(self.classes)
        ):
            raise ValueError('class_subset needs the key "like" and one index a class, each once')
        if "cifar" in self.layouts and len(self.classes) not in (10, 100):
            raise ValueError(f'layout "cifar" needs 10 or 100 classes, not {len(self.classes)}')
        if "imagenet-tar" in self.layouts and None in (self.id_pattern, self.ground_truth_classes):
            raise ValueError('layout "imagenet-tar" needs id_pattern and ground_truth_classes')
        if self.id_pattern is not None:
            _check_pattern(self.id_pattern)
        return self

    def split_name(self, split: str) -> str:
        """Return what the hub calls the split "test" or "train" (ImageNet: validation)."""
        if self.hub is None:
            return split
        return self.hub.test_split if split == "test" else self.hub.train_split

    def count(self, split: str) -> int:
        """Return how many images the split "test" or "train" has."""
        return self.test_count if split == "test" else self.train_count

    @property
    def shape(self) -> tuple[int, ...]:
        """What a stored image is, (H, W) for gray or (H, W, 3)."""
        return (self.size, self.size) + ((3,) if self.channels == 3 else ())

    @property
    def columns(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names that the columns of images and labels may have, the likeliest first."""
        images, labels = ("image", "img"), ("label",)
        if self.hub is None:
            return images, labels
        return (self.hub.image_column, *images), (self.hub.label_column, *labels)

    @property
    def chance(self) -> float:
        """Accuracy of guessing, in [0, 1]."""
        return 1.0 / len(self.classes)
