"""What a study's block says of itself, as types: the border for files of strangers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from bench.entries.fields import Count, Frozen, Percent, Seed, Sha256
from bench.entries.study import Cell

Epoch = Annotated[int, Field(ge=0, le=1000)]
Loss = Annotated[float, Field(ge=0)]


class CurveRow(Frozen):
    """One epoch of training: running means, each batch before its step; percent."""

    epoch: Epoch
    learning_rate: Annotated[float, Field(gt=0)]
    train_loss: Loss
    train_accuracy: Percent
    test_accuracy: Percent


class Point(Frozen):
    """The net at a checkpoint, on the first clean training images and the whole test split."""

    epoch: Epoch
    loss: Loss
    accuracy: Percent
    test_loss: Loss
    test_accuracy: Percent
    sha256: Sha256
    """Of the weights' file."""


class SplitFacts(Frozen):
    """A split: what its images hash to, and how many there are."""

    fingerprint: Sha256
    count: Count


class DivergedFacts(Frozen):
    """Training ended in an epoch, for the loss was not finite."""

    epoch: Epoch
    text: Annotated[str, Field(max_length=500)]


class Seconds(Frozen):
    """What a cell took, in seconds."""

    train: Annotated[float, Field(ge=0)]
    measure: Annotated[float, Field(ge=0)]


class CellFacts(Frozen):
    """One cell of a block."""

    cell: Cell
    identity: Sha256
    n_params: Count
    affine: bool
    through_map: bool = False
    """Trained through the net's affine map, not through the net; before this could be: False."""
    inputs: dict[str, Any] | None
    """What was done to images while training."""
    diverged: DivergedFacts | None
    curve: tuple[CurveRow, ...]
    points: tuple[Point, ...] = Field(min_length=1)
    loss_samples: Count
    """First clean training images that the points' loss is of."""
    train: SplitFacts
    test: SplitFacts
    attacks: dict[str, Sha256]
    seconds: Seconds


class BlockFacts(Frozen):
    """A block: see `bench.results.study_blocks`."""

    schema_version: Literal[1]
    study: str
    study_hash: Sha256
    """Of the study's text when it was run."""
    block: str
    block_identity: Sha256
    limit: Count | None
    cells: dict[str, CellFacts] = Field(min_length=1)
    device: str
    threads: Seed
    versions: dict[str, str]
    git: dict[str, Any]
    started: str
    ended: str
