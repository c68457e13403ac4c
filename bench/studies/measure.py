"""Measure a cell's net as it was after an epoch: the study's attack on the first test images.

The label of an image is the class that the net itself gives it: so untrained nets can be measured
on all images, and where the class is the true one nothing differs from an evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.attacks.base import logit_margin
from bench.data.base import Images
from bench.entries import registry
from bench.entries.study import Cell
from bench.measure.block import run_block
from bench.measure.job import Job
from bench.models.collapse import AffineNet, collapse
from bench.spectrum import spectral_metrics
from bench.studies.free import free_rfc
from bench.training.job import Split
from bench.training.loop import scaled

BATCH = 100
"""Images that are attacked together: 300 and 1000 are whole batches, so that a net's rows do not
depend on what else is measured."""
EVALUATION_BATCH = 500
LOSS_SAMPLES = 10_000
"""First training images on which a net's loss is taken."""
FROM_BLOCK = ("l2", "rfc", "hfe", "f50", "dc_share", "grad_rfc")

Columns = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Planes(Job):
    """A job on images in memory, (N, C, H, W) float32, ids 0 .. N - 1, with chosen labels."""

    pixels: Tensor = field(default_factory=lambda: torch.zeros(0))
    chosen: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))

    def load(self, sample_ids: Sequence[int]) -> Tensor:
        """Return the images of these ids."""
        return self.pixels[list(sample_ids)]

    def labels(self, sample_ids: Sequence[int]) -> Tensor:
        """Return the labels of these ids."""
        return self.chosen[list(sample_ids)]


@dataclass(frozen=True)
class Nowhere(Images):
    """Images that the job itself has."""

    ids: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    source: str = "a study"

    def decode(self, position: int) -> npt.NDArray[np.uint8]:
        """Refuse: `Planes` gives the images."""
        raise NotImplementedError("a study's images are no files")


def measured_images(split: Split, most: int) -> Tensor:
    """Return the test images that are attacked, (n, C, H, W) float32 in [0, 1]."""
    return scaled(split.planes(most)).contiguous()


def as_measured(cell: Cell, net: nn.Module, test: Split) -> nn.Module:
    """Return what is measured of a cell's net: without nonlinearity, its one affine map."""
    return net if cell.factors.relu else collapse(net, test.shape)


def measure(cell: Cell, epoch: int, model: nn.Module, test: Split, device: str) -> Columns:
    """Return a cell's rows of one epoch, as columns of a study's block.

    Args:
        cell: what is measured.
        epoch: of the net.
        model: the net `as_measured`, frozen, in eval mode.
        test: the split whose first images are attacked.
        device: where to.
    """
    protocol = registry.protocol(cell.protocol)
    settings = protocol.attacks[cell.attack]
    pool = len(protocol.sample_ids(cell.factors.dataset))
    images = measured_images(test, pool).to(device)
    labels = torch.as_tensor(test.labels[: len(images)]).to(device)
    count = min(cell.samples_at(epoch), len(images))
    logits = _logits(model, images)
    own = logits.argmax(1)
    job = Planes(
        model_name=cell.name,
        model=model,
        images=Nowhere(np.arange(len(images)), own.cpu().numpy()),
        transform=None,
        attacks={cell.attack: settings},
        pool_ids=tuple(range(len(images))),
        seed=protocol.seed,
        classes=logits.shape[1],
        device=torch.device(device),
        batch_size=BATCH,
        pixels=images,
        chosen=own,
    )
    ids = tuple(range(count))
    block = run_block(job, cell.attack, ids, keep_deltas=True)
    columns: Columns = {
        "cell": np.full(count, cell.name, dtype=object),
        "attack": np.full(count, cell.attack, dtype=object),
        "epoch": np.full(count, epoch, dtype=np.int16),
        "sample_id": np.asarray(ids, dtype=np.int32),
        "clean_correct": (own == labels)[:count].cpu().numpy(),
        "status": block.columns["status"],
        "margin": -logit_margin(logits, own)[:count].double().cpu().numpy(),
        "windowed_rfc": _windowed(block.deltas, block.delta_ids, count),
        **{name: block.columns[name] for name in FROM_BLOCK},
    }
    if isinstance(model, AffineNet):
        columns["free_rfc"] = free_rfc(model, images[:count], own[:count])
    return columns


def attack_hash(cell: Cell) -> str:
    """Return the identity of a cell's attack."""
    protocol = registry.protocol(cell.protocol)
    return protocol.attack_hash(cell.factors.dataset, cell.attack)


def _windowed(deltas: Any, ids: Sequence[int], count: int) -> npt.NDArray[np.float64]:
    """Return the RFC of perturbations under a Hann window, (count,), NaN where there is none."""
    found = np.full(count, np.nan)
    if deltas is None or len(deltas) == 0:
        return found
    values = torch.as_tensor(deltas).double()
    rows, columns = (
        torch.hann_window(side, periodic=False, dtype=torch.float64) for side in values.shape[2:]
    )
    window = rows[:, None] * columns
    found[np.asarray(ids)] = spectral_metrics(values * window)["rfc"].numpy()
    return found


@torch.no_grad()
def _logits(model: nn.Module, images: Tensor) -> Tensor:
    return torch.cat([model(part) for part in torch.split(images, EVALUATION_BATCH)])


@torch.no_grad()
def loss_and_accuracy(
    net: nn.Module, split: Split, count: int | None, device: str
) -> tuple[float, float]:
    """Return mean cross-entropy and accuracy (percent) on a split's first images (None: all)."""
    images, labels = split.planes(count), torch.as_tensor(split.labels[:count])
    loss, correct = 0.0, 0
    parts = (torch.split(tensor, EVALUATION_BATCH) for tensor in (images, labels))
    for x, y in zip(*parts, strict=True):
        logits, y = net(scaled(x.to(device))), y.to(device)
        loss += float(F.cross_entropy(logits.double(), y, reduction="sum"))
        correct += int((logits.argmax(1) == y).sum())
    return loss / len(labels), 100 * correct / len(labels)
