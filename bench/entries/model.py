"""Model entries: `registry/models/**/<name>.toml`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from bench.entries.fields import Count, Frozen, Inside, Line, Name, Percent, Seed, Sha256, Side

Family = Literal["fully-connected", "full-conv", "locally-connected", "local-conv"]
ModelType = Literal["Convolutional", "Hybrid", "MLP", "ViT", "Locally connected", "Other"]


class Net(Frozen):
    """One net of Supplementary Table 1 (or of the kernel-size series)."""

    family: Family
    deep: bool
    """False: one hidden layer; True: three."""
    relu: bool
    """False: the net is one affine map."""
    kernel_size: Side | None = None
    """Odd kernel size, or the image size, of the circular series; None: the paper's net."""

    @model_validator(mode="after")
    def _kernel_is_for_local_conv(self) -> Net:
        if self.kernel_size is not None and self.family != "local-conv":
            raise ValueError(f"kernel_size belongs to family local-conv, not {self.family}")
        return self


class Recipe(Frozen):
    """How a net is trained (Supplementary Tables 5 to 9, science.md "Training")."""

    learning_rate: float = Field(gt=0)
    batch_size: Count
    epochs: Count = 40
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    learning_rate_drop: float = Field(default=0.3, gt=0, le=1)
    """The rate is multiplied by this every `learning_rate_drop_every` epochs."""
    learning_rate_drop_every: Count = 4


class Weights(Frozen):
    """Where an entry's weights are and what they must hash to."""

    file: Inside | None = None
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
    epochs: Count | None = None
    """Epochs that were really run."""
    seed: Seed | None = None
    command: str | None = None
    """What trains them, if the file is not carried."""


class TrainingSeed(Frozen):
    """Weights of the same recipe from another training seed: the model `<name>@seed<N>`."""

    seed: Seed
    sha256: Sha256
    """SHA-256 of the file."""
    test_accuracy: Percent
    """Percent of the whole test split, measured by this project."""
    epochs: Count
    """Epochs that were really run."""
    file: Inside | None = None
    """Path relative to `registry/` (safetensors), if it is carried."""
    command: str | None = None
    """What trains it, if the file is not carried."""

    @model_validator(mode="after")
    def _can_be_had(self) -> TrainingSeed:
        if self.file is None and self.command is None:
            raise ValueError(f"seed {self.seed} needs the key file, or the command that trains it")
        return self


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
    input_size: Side | None = None
    """Side of the square input; None: the data set's (or the timm configuration's)."""
    tag: Line | None = None
    """source = "timm" or "checkpoint": the timm `arch.tag` (or arch) to build."""
    factory: Line | None = None
    """source = "factory": "package.module:function" returning an nn.Module; needs --trust."""
    net: Net | None = None
    """source = "net": the architecture."""
    recipe: Recipe | None = None
    weights: Weights | None = None
    seeds: tuple[TrainingSeed, ...] = ()
    """Further training seeds of the same recipe."""
    paper: Paper | None = None
    credits: Credits | None = None
    notes: Annotated[str, Field(max_length=4000)] = ""

    @model_validator(mode="after")
    def _source_has_its_key(self) -> ModelEntry:
        needs = {"timm": "tag", "net": "net", "checkpoint": "tag", "factory": "factory"}
        key = needs.get(self.source)  # a model in memory has none
        if key is not None and getattr(self, key) is None:
            raise ValueError(f'source = "{self.source}" needs the key "{key}"')
        if self.factory is not None and self.factory.count(":") != 1:
            raise ValueError('factory must read "package.module:function"')
        return self

    @model_validator(mode="after")
    def _seeds_differ(self) -> ModelEntry:
        first = self.weights.seed if self.weights is not None else None
        listed = [s.seed for s in self.seeds] + ([] if first is None else [first])
        if len(set(listed)) < len(listed):
            raise ValueError("a training seed may stand there once, that of [weights] included")
        return self

    def seed_of(self, number: int) -> TrainingSeed | None:
        """Return the further training seed of a number, None if it is not listed."""
        return next((s for s in self.seeds if s.seed == number), None)

    def at_seed(self, number: int) -> ModelEntry | None:
        """Return the entry of a further training seed, `<name>@seed<N>`, None if not listed."""
        found = self.seed_of(number)
        if found is None:
            return None
        weights = Weights(
            file=found.file,
            sha256=found.sha256,
            test_accuracy=found.test_accuracy,
            epochs=found.epochs,
            seed=number,
            command=found.command,
        )
        name = f"{self.name}@seed{number}"
        return self.model_copy(
            update={"name": name, "weights": weights, "paper": None, "seeds": ()}
        )
