"""Model entries: `registry/models/**/<name>.toml`."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from bench.entries.fields import Frozen, Line, Name, Percent, Sha256

Family = Literal["fully-connected", "full-conv", "locally-connected", "local-conv"]
ModelType = Literal["Convolutional", "Hybrid", "MLP", "ViT", "Locally connected", "Other"]


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


def _inside(path: str) -> str:
    """A path below the registry, on every system: it is read, and named in `git add`."""
    parts = path.split("/")
    if not re.fullmatch(r"[A-Za-z0-9_.@+/-]+", path) or path[0] in "/-" or "" in parts:
        raise ValueError("must be a path of letters, digits and _.@+- below registry/")
    if any(part in (".", "..") for part in parts):
        raise ValueError("must be a path below registry/ without . or ..")
    return path


class Weights(Frozen):
    """Where an entry's weights are and what they must hash to."""

    file: Annotated[Line, AfterValidator(_inside)] | None = None
    """Path relative to `registry/` (safetensors)."""
    url: Line | None = None
    """Public address or hub id, for whoever wants to verify."""
    revision: Line | None = None
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

    name: Line
    top1: Percent
    top5: Percent | None = None


class Credits(Frozen):
    """Who made the model."""

    authors: Line
    paper: Line | None = None
    link: Line | None = None
    code: Line | None = None
    training_data: Line
    licence: Line


class ModelEntry(Frozen):
    """One model: `registry/models/**/<name>.toml`."""

    name: Name
    source: Literal["timm", "net", "checkpoint", "factory"]
    dataset: Name
    family: Annotated[Line, Field(max_length=60)]
    """Short family name for tables ("local-conv", "resnet")."""
    type: ModelType
    """Model type of Supplementary Table 2."""
    input_size: int | None = Field(default=None, ge=1)
    """Side of the square input; None: the data set's (or the timm configuration's)."""
    tag: Line | None = None
    """source = "timm" or "checkpoint": the timm `arch.tag` (or arch) to build."""
    factory: Line | None = None
    """source = "factory": "package.module:function" returning an nn.Module; needs --trust."""
    net: Net | None = None
    """source = "net": the architecture."""
    recipe: Recipe | None = None
    weights: Weights | None = None
    paper: Paper | None = None
    credits: Credits | None = None
    notes: Annotated[str, Field(max_length=4000)] = ""

    @model_validator(mode="after")
    def _source_has_its_key(self) -> ModelEntry:
        needs = {"timm": "tag", "net": "net", "checkpoint": "tag", "factory": "factory"}
        key = needs[self.source]
        if getattr(self, key) is None:
            raise ValueError(f'source = "{self.source}" needs the key "{key}"')
        if self.factory is not None and self.factory.count(":") != 1:
            raise ValueError('factory must read "package.module:function"')
        return self
