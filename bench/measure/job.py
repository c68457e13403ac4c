"""One model on one data set: what every block of an evaluation shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

import torch
from torch import Tensor, nn

from bench.attacks.starts import NO_CLASS, StartPool
from bench.data.base import Images, Transform, load_batch, positions_of
from bench.entries.attacks import AttackSettings, attack_hash
from bench.errors import BenchError
from bench.measure.memory import in_parts
from bench.spectrum import spectral_metrics
from bench.steps.step import GradientStep

REMEMBERED = 64
"""Blocks whose clean images are not measured again for the next attack."""


@dataclass(frozen=True)
class Job:
    """One model on one data set: everything that a block needs, besides its ids.

    Attributes:
        model_name: for messages.
        model: images in [0, 1] -> logits; eval mode, frozen, on `device`.
        images: the samples that may be asked for (at least the start pool).
        transform: the model's evaluation transform, or None.
        attacks: attack name -> settings.
        pool_ids: ids that start points are drawn from.
        seed: seed of all draws.
        classes: number of classes of the data set.
        device: where the model is.
        batch_size: samples attacked together.
        step: a faster way to run the same model, for this project's own attacks.
    """

    model_name: str
    model: nn.Module
    images: Images
    transform: Transform | None
    attacks: Mapping[str, AttackSettings]
    pool_ids: tuple[int, ...]
    seed: int
    classes: int
    device: torch.device
    batch_size: int
    step: GradientStep | None = None
    starts: StartPool = field(init=False)
    _clean: dict[tuple[int, ...], CleanBlock] = field(init=False, repr=False, default_factory=dict)
    _hashes: dict[str, str] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        pool = StartPool(self.load, lambda x: classes_of(self.logits(x)), self.pool_ids, self.seed)
        object.__setattr__(self, "starts", pool)

    def attack_hash(self, attack: str) -> str:
        """Return the identity of one of the job's attacks, 64 hex digits."""
        if attack not in self._hashes:
            settings = self.attacks[attack]
            self._hashes[attack] = attack_hash(attack, settings, self.seed, self.pool_ids)
        return self._hashes[attack]

    def load(self, sample_ids: Sequence[int]) -> Tensor:
        """Return the images of these ids, (B, C, H, W) float32 in [0, 1], on the device."""
        positions = positions_of(self.images, sample_ids).tolist()
        return load_batch(self.images, positions, self.transform).to(self.device)

    def labels(self, sample_ids: Sequence[int]) -> Tensor:
        """Return the labels of these ids, (B,) int64, on the device."""
        positions = positions_of(self.images, sample_ids)
        return torch.from_numpy(self.images.labels[positions]).to(self.device)

    def logits(self, images: Tensor) -> Tensor:
        """Return logits (B, classes); those of a sample may be NaN or infinite (`classes_of`).

        Raises:
            BenchError: another width than the data set's classes.
        """
        with torch.no_grad():
            logits: Tensor = self.model(images)
        check_logits(logits, len(images), self.classes, self.model_name)
        return logits

    def clean(self, sample_ids: tuple[int, ...], images: Tensor, labels: Tensor) -> CleanBlock:
        """Return what is known of the clean images; of the last blocks it is remembered."""
        if sample_ids not in self._clean:
            everything = torch.arange(len(images), device=images.device)
            parts = in_parts(
                lambda some: clean_block(self, images[some], labels[some]),
                everything,
                self.batch_size,
            )
            while len(self._clean) >= REMEMBERED:
                del self._clean[next(iter(self._clean))]
            found = CleanBlock(
                *(torch.cat([getattr(p, f.name) for p in parts]) for f in fields(CleanBlock))
            )
            if len(sample_ids) > 1 and bool((found.pred == NO_CLASS).all()):
                raise BenchError(
                    f"model {self.model_name!r}: expected finite logits on clean images, got NaN "
                    f"or infinity on all {len(sample_ids)} of a block; check the weights"
                )
            self._clean[sample_ids] = found
        return self._clean[sample_ids]


@dataclass(frozen=True)
class CleanBlock:
    """Attack-independent facts of a block; each tensor is (B,), on the device.

    `pred` is NO_CLASS where the logits are not finite.
    """

    pred: Tensor
    image_rfc: Tensor
    grad_rfc: Tensor
    zero_grad: Tensor


def check_logits(logits: object, batch: int, classes: int, name: str) -> None:
    """Raise BenchError unless logits are (batch, classes)."""
    shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    if shape != (batch, classes):
        raise BenchError(
            f"model {name!r}: expected logits ({batch}, {classes}) for {batch} images of a data "
            f"set with {classes} classes, got {shape}; check the entry's dataset and the read-out"
        )


def classes_of(logits: Tensor) -> Tensor:
    """Return the class of each sample, (B,) int64; NO_CLASS where its logits are not finite.

    Args:
        logits: (B, classes).
    """
    return torch.where(logits.isfinite().all(1), logits.argmax(1), NO_CLASS)


def clean_block(job: Job, images: Tensor, labels: Tensor) -> CleanBlock:
    """Predict clean images and measure them and the gradient of their loss."""
    inputs = images.clone().requires_grad_(True)
    logits = job.model(inputs)
    check_logits(logits, len(images), job.classes, job.model_name)
    loss = nn.functional.cross_entropy(logits, labels, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, inputs)
    scale = gradient.flatten(1).abs().amax(1).double()
    safe = torch.where(scale > 0, scale, 1.0)[:, None, None, None]
    return CleanBlock(
        pred=classes_of(logits.detach()),
        image_rfc=spectral_metrics(images)["rfc"],
        grad_rfc=spectral_metrics(gradient.double() / safe)["rfc"],
        zero_grad=scale == 0,
    )
