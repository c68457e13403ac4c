"""What a training run is asked for, and what it gives."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from bench.entries.fields import Frozen
from bench.entries.model import Recipe

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True)
class Split:
    """Images and labels of one split, in memory."""

    images: npt.NDArray[np.uint8] | npt.NDArray[np.float32]
    """(N, H, W) or (N, H, W, C), in the split's order; float32: in [0, 1]."""
    labels: npt.NDArray[np.int64]
    """(N,), class indices in [0, classes)."""
    fingerprint: str
    """SHA-256 of the decoded images and labels."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        height, width = self.images.shape[1:3]
        return (self.images.shape[3] if self.images.ndim == 4 else 1, height, width)

    def planes(self, count: int | None = None) -> torch.Tensor:
        """Return the first `count` images (None: all), (N, C, H, W), in their own dtype."""
        import torch

        images = torch.tensor(self.images[:count])
        if images.ndim == 3:
            return images[:, None]
        return images.permute(0, 3, 1, 2).contiguous()


class Builder(Protocol):
    """Builds a net that is none of the paper's."""

    def build(self, *, input_shape: tuple[int, int, int], classes: int, seed: int) -> nn.Module:
        """Return it with its seeded initial weights, on the CPU, in training mode.

        Args:
            input_shape: (C, H, W).
            classes: number of logits.
            seed: of the weights.
        """


class Inputs(Protocol):
    """What is done to the images of a batch before a net is trained on them."""

    def describe(self) -> dict[str, Any]:
        """Return its settings, JSON-ready."""

    def change(
        self, net: nn.Module, images: Tensor, labels: Tensor, draws: torch.Generator
    ) -> Tensor:
        """Return other images in place of these.

        Args:
            net: as it is before the step; its gradients are cleared afterwards.
            images: (B, C, H, W) float32 in [0, 1].
            labels: (B,) int64.
            draws: the epoch's source of random numbers, on the CPU.
        """


@dataclass(frozen=True)
class Job:
    """One training run."""

    model: str
    """Name of the entry."""
    net: Frozen
    """The architecture: `bench.entries.model.Net`, or what `builder` builds."""
    recipe: Recipe
    dataset: str
    classes: int
    train: Split
    test: Split
    """What the accuracy per epoch is measured on; it decides nothing."""
    path: Path
    """The checkpoint, "<name>.safetensors"; state, log and curves lie beside it."""
    seed: int = 0
    """Of the initial weights and of the order of the images."""
    until_lr: float | None = None
    """End once the rate is below this share of its start, (0, 1]; None: all epochs."""
    builder: Builder | None = None
    """None: a net of the paper."""
    inputs: Inputs | None = None
    """None: images as they are."""
    device: str = "cpu"
    """ "cpu", "cuda" or "cuda:<i>"."""
    through_map: bool = False
    """Train a linear net through its affine map (`bench.models.affine`): the same steps but for
    rounding, in less time."""

    @property
    def epochs(self) -> int:
        """Number of epochs: the recipe's, or fewer with `until_lr`."""
        if self.until_lr is None:
            return self.recipe.epochs
        below = (e for e in range(self.recipe.epochs) if self._drops(e) < self.until_lr)
        return next(below, self.recipe.epochs)

    @property
    def steps(self) -> int:
        """Number of steps an epoch; the last batch may be smaller."""
        return -(-len(self.train.labels) // self.recipe.batch_size)

    def rate(self, epoch: int) -> float:
        """Return the learning rate of an epoch, 0 for the first."""
        return self.recipe.learning_rate * self._drops(epoch)

    def _drops(self, epoch: int) -> float:
        return self.recipe.learning_rate_drop ** (epoch // self.recipe.learning_rate_drop_every)

    def beside(self, suffix: str) -> Path:
        """Return the file of that suffix beside the checkpoint."""
        return self.path.with_name(self.path.stem + suffix)

    @property
    def state_path(self) -> Path:
        """Where the state after each epoch lies until the run is done."""
        return self.beside(".resume")

    @property
    def facts(self) -> dict[str, Any]:
        """What decides the weights after a given epoch, JSON-ready."""
        changed = {} if self.inputs is None else {"inputs": self.inputs.describe()}
        return changed | {
            "model": self.model,
            "net": self.net.model_dump(mode="json"),
            "recipe": self.recipe.model_dump(mode="json", exclude={"epochs"}),
            "dataset": self.dataset,
            "classes": self.classes,
            "input_shape": list(self.train.shape),
            "seed": self.seed,
            "train_count": len(self.train.labels),
            "test_count": len(self.test.labels),
            "train_fingerprint": self.train.fingerprint,
            "test_fingerprint": self.test.fingerprint,
        }

    @property
    def length(self) -> dict[str, Any]:
        """How long the run is, JSON-ready."""
        return {"epochs": self.epochs, "until_lr": self.until_lr}

    def versions(self) -> dict[str, Any]:
        """Return what else the last bits of the weights depend on, JSON-ready."""
        import torch

        return ({"through_map": True} if self.through_map else {}) | {
            "format": 1,
            "device": self.device,
            "threads": torch.get_num_threads(),
            "versions": {name: version(name) for name in ("frequency-bench", "torch")},
        }


@dataclass(frozen=True)
class Trained:
    """A finished run."""

    path: Path
    """The checkpoint (safetensors); the log (.csv) and the curves (.png) are beside it."""
    sha256: str
    meta: dict[str, Any]
    """The checkpoint's metadata: accuracies in percent, recipe, seed, epochs, fingerprints."""
    reused: bool
    """True: the checkpoint was there already."""
