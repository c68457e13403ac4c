"""Validated, frozen entries: what one TOML file of the registry says.

Validation happens here once, at the border; everything behind it can trust its input.
Each class is one kind of file: :class:`ModelEntry`, :class:`DatasetEntry`, :class:`Protocol`.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

Family = Literal["fully-connected", "full-conv", "locally-connected", "local-conv"]
ModelType = Literal["Convolutional", "Hybrid", "MLP", "ViT", "Locally connected", "Other"]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@+-]*$", max_length=120)]
Percent = Annotated[float, Field(ge=0, le=100)]


class Frozen(BaseModel):
    """Base of every entry: immutable, unknown keys are errors, no silent type conversion."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


# ---------------------------------------------------------------- models


class Net(Frozen):
    """One net of Supplementary Table 1 (or of the kernel-size series)."""

    family: Family
    deep: bool
    """False: one hidden layer; True: three."""
    relu: bool
    """False: the net is one affine map."""
    kernel_size: int | None = Field(default=None, ge=1)
    """Odd kernel size, or the image size, of the circular series; None: the paper's net."""

    @model_validator(mode="after")
    def _kernel_is_for_local_conv(self) -> Net:
        if self.kernel_size is not None and self.family != "local-conv":
            raise ValueError(f"kernel_size belongs to family local-conv, not {self.family}")
        return self


class Recipe(Frozen):
    """How a net is trained (Supplementary Tables 5 to 9, science.md "Training")."""

    learning_rate: float = Field(gt=0)
    batch_size: int = Field(ge=1)
    epochs: int = Field(default=40, ge=1)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    learning_rate_drop: float = Field(default=0.3, gt=0, le=1)
    """The rate is multiplied by this every `learning_rate_drop_every` epochs."""
    learning_rate_drop_every: int = Field(default=4, ge=1)


class Weights(Frozen):
    """Where an entry's weights are and what they must hash to."""

    file: str | None = None
    """Path relative to `registry/` (safetensors)."""
    url: str | None = None
    """Public address or hub id, for whoever wants to verify."""
    revision: str | None = None
    sha256: Sha256 | None = None
    """SHA-256 of the file, checked at every load."""
    test_accuracy: Percent | None = None
    """Percent of the whole test split, measured by this project."""
    train_accuracy: Percent | None = None
    """Percent of the training split, likewise."""
    epochs: int | None = None
    """Epochs that were really run."""
    seed: int | None = None


class Paper(Frozen):
    """What Caro et al. 2024 state for this model (Supplementary Tables 3 and 4)."""

    name: str
    top1: Percent
    top5: Percent | None = None


class Credits(Frozen):
    """Who made the model."""

    authors: str
    paper: str | None = None
    link: str | None = None
    code: str | None = None
    training_data: str
    licence: str


class ModelEntry(Frozen):
    """One model: `registry/models/**/<name>.toml`."""

    name: Name
    source: Literal["timm", "net", "checkpoint", "factory"]
    dataset: Name
    family: str
    """Short family name for tables ("local-conv", "resnet")."""
    type: ModelType
    """Model type of Supplementary Table 2."""
    input_size: int | None = Field(default=None, ge=1)
    """Side of the square input; None: the data set's (or the timm configuration's)."""
    tag: str | None = None
    """source = "timm" or "checkpoint": the timm `arch.tag` (or arch) to build."""
    factory: str | None = None
    """source = "factory": "package.module:function" returning an nn.Module; needs --trust."""
    net: Net | None = None
    """source = "net": the architecture."""
    recipe: Recipe | None = None
    weights: Weights | None = None
    paper: Paper | None = None
    credits: Credits | None = None
    notes: str = ""

    @model_validator(mode="after")
    def _source_has_its_key(self) -> ModelEntry:
        needs = {"timm": "tag", "net": "net", "checkpoint": "tag", "factory": "factory"}
        key = needs[self.source]
        if getattr(self, key) is None:
            raise ValueError(f'source = "{self.source}" needs the key "{key}"')
        if self.factory is not None and self.factory.count(":") != 1:
            raise ValueError('factory must read "package.module:function"')
        return self


# ---------------------------------------------------------------- data sets


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


# ---------------------------------------------------------------- protocols


class AttackSpec(Frozen):
    """One attack with all its settings. Every field is normative (part of the hash)."""

    algorithm: Literal["pgd", "brendel-bethge"]
    norm: Literal["linf", "l2", "l1"]
    steps: int = Field(ge=1)
    implementation: Literal["bench", "foolbox"] = "bench"
    version: int = Field(ge=1)
    """Version of the implementation: raise it when results may change."""
    # pgd
    epsilon: float | None = Field(default=None, gt=0)
    """Budget in [0,1] pixel units (see epsilon_scale)."""
    epsilon_scale: Literal["sum", "mean"] = "sum"
    """With "mean", epsilon is per input value, the norm's budget is epsilon * C * H * W."""
    step_size: float | None = Field(default=None, gt=0)
    step_scale: Literal["relative", "absolute"] = "relative"
    """With "relative", the step is step_size * (the norm's budget)."""
    random_start: bool = False
    # brendel-bethge
    learning_rate: float | None = Field(default=None, gt=0)
    learning_rate_decay: float = Field(default=0.5, gt=0, le=1)
    learning_rate_decays: int = Field(default=20, ge=1)
    """The rate decays this many times over the run."""
    momentum: float = Field(default=0.8, ge=0, lt=1)
    overshoot: float = Field(default=1.1, gt=0)
    binary_search_steps: int = Field(default=10, ge=0)
    nominal_batch: int = Field(default=20, ge=1)
    """Batch size in foolbox's trust-region radius, whatever the real one is."""
    nearest_starts: int = Field(default=0, ge=0, le=10)
    """Begin also beyond so many boundaries that are nearest to first order; the best counts."""

    @model_serializer(mode="wrap")
    def _without_later_fields(self, dump: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Leave a later field out where it is off, so that older hashes stay what they are."""
        fields: dict[str, object] = dump(self)
        if self.nearest_starts == 0:
            fields.pop("nearest_starts", None)
        return fields

    @model_validator(mode="after")
    def _has_its_settings(self) -> AttackSpec:
        needs = {"pgd": ("epsilon", "step_size"), "brendel-bethge": ("learning_rate",)}
        for key in needs[self.algorithm]:
            if getattr(self, key) is None:
                raise ValueError(f'algorithm "{self.algorithm}" needs the key "{key}"')
        if self.nearest_starts and (self.algorithm, self.implementation) != (
            "brendel-bethge",
            "bench",
        ):
            raise ValueError('nearest_starts belongs to algorithm "brendel-bethge" of this project')
        if self.algorithm == "brendel-bethge" and self.norm == "l1":
            raise ValueError('algorithm "brendel-bethge" needs norm "linf" or "l2"')
        return self

    @property
    def minimal(self) -> bool:
        """True if the attack minimises the norm instead of using up a budget."""
        return self.algorithm == "brendel-bethge"

    def budget(self, dims: int) -> float | None:
        """Return the largest allowed norm for an input of `dims` values, None if minimal."""
        if self.epsilon is None:
            return None
        return self.epsilon * dims if self.epsilon_scale == "mean" else self.epsilon

    def step(self, dims: int) -> float | None:
        """Return the step in the norm's units for an input of `dims` values, None if minimal.

        An absolute step is measured as epsilon is: per input value if epsilon_scale = "mean".
        """
        budget = self.budget(dims)
        if budget is None or self.step_size is None:
            return None
        if self.step_scale == "relative":
            return self.step_size * budget
        return self.step_size * dims if self.epsilon_scale == "mean" else self.step_size


class Selection(Frozen):
    """Which samples of the test split a protocol measures on."""

    rule: Literal["first", "list"]
    count: int = Field(ge=1)
    file: str | None = None
    """rule = "list": text file relative to `registry/`, one sample id a line."""
    ids: tuple[int, ...] | None = Field(default=None, repr=False)
    """Filled from `file` when the protocol is read."""


class Gates(Frozen):
    """What a result must reach to be ranked."""

    min_accuracy_over_chance: float = Field(gt=0)
    min_kept: int = Field(ge=1)
    kept_attack: str
    min_minimal_success: float = Field(ge=0, le=1)


class Protocol(Frozen):
    """A fixed way of measuring: `registry/protocols/<name>.toml`."""

    name: Name
    title: str
    seed: int = Field(ge=0)
    metrics_version: int = Field(ge=1)
    primary_attack: str
    selection: dict[str, Selection]
    """By data set name; "default" is for all others."""
    gates: Gates
    attacks: dict[str, AttackSpec] = Field(min_length=1)
    notes: str = ""
    readings: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _refers_to_its_attacks(self) -> Protocol:
        for key, name in (
            ("primary_attack", self.primary_attack),
            ("gates.kept_attack", self.gates.kept_attack),
        ):
            if name not in self.attacks:
                raise ValueError(f"{key} = {name!r} is not one of its attacks")
        if "default" not in self.selection:
            raise ValueError('[selection] needs the table "default"')
        return self

    def sample_ids(self, dataset: str) -> tuple[int, ...]:
        """Return the ids (indices in the test split) that this protocol measures, in order."""
        chosen = self.selection.get(dataset, self.selection["default"])
        if chosen.rule == "list":
            assert chosen.ids is not None, "the registry fills ids when it reads the protocol"
            return chosen.ids
        return tuple(range(chosen.count))

    def normative(self, dataset: str) -> dict[str, object]:
        """Return the fields that decide the numbers on one data set, JSON-ready."""
        return {
            "dataset": dataset,
            "seed": self.seed,
            "metrics_version": self.metrics_version,
            "primary_attack": self.primary_attack,
            "sample_ids": list(self.sample_ids(dataset)),
            "gates": self.gates.model_dump(mode="json"),
            "attacks": {k: v.model_dump(mode="json") for k, v in sorted(self.attacks.items())},
        }

    def hash(self, dataset: str) -> str:
        """Return the SHA-256 of the normative fields for one data set, 64 hex digits."""
        text = json.dumps(self.normative(dataset), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
