"""The only loop: a block of samples -> attack -> columns. Knows nothing of files.

A block is one attack on a fixed set of sample ids. Blocks are independent and idempotent: an
engine may run them in any order, on any machine, and again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bench.attacks.run import AttackOutcome, attack_batch
from bench.attacks.starts import StartPool
from bench.attacks.step import GradientStep
from bench.data.base import Images, Transform, load_batch
from bench.entries import AttackSpec
from bench.errors import BenchError
from bench.memory import in_parts
from bench.metrics import METRICS, Measured
from bench.spectrum import mean_map, normalised_power, power_spectrum, spectral_metrics

if TYPE_CHECKING:
    Columns = Mapping[str, npt.NDArray[Any]]

EXAMPLES = 4
"""Example images kept for each attack."""


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
    attacks: Mapping[str, AttackSpec]
    pool_ids: tuple[int, ...]
    seed: int
    classes: int
    device: torch.device
    batch_size: int
    step: GradientStep | None = None
    starts: StartPool = field(init=False)
    _positions: dict[int, int] = field(init=False, repr=False)
    _clean: dict[tuple[int, ...], CleanBlock] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        positions = {int(i): p for p, i in enumerate(self.images.ids)}
        object.__setattr__(self, "_positions", positions)
        pool = StartPool(self.load, lambda x: self.logits(x).argmax(1), self.pool_ids, self.seed)
        object.__setattr__(self, "starts", pool)

    def load(self, sample_ids: Sequence[int]) -> Tensor:
        """Return the images of these ids, (B, C, H, W) float32 in [0, 1], on the device."""
        positions = [self._positions[i] for i in sample_ids]
        return load_batch(self.images, positions, self.transform).to(self.device)

    def labels(self, sample_ids: Sequence[int]) -> Tensor:
        """Return the labels of these ids, (B,) int64, on the device."""
        positions = [self._positions[i] for i in sample_ids]
        return torch.from_numpy(self.images.labels[positions]).to(self.device)

    def logits(self, images: Tensor) -> Tensor:
        """Return finite logits (B, classes).

        Raises:
            BenchError: another width than the data set's classes, or values that are not finite.
        """
        with torch.no_grad():
            logits: Tensor = self.model(images)
        check_logits(logits, len(images), self.classes, self.model_name)
        return logits

    def clean(self, sample_ids: tuple[int, ...], images: Tensor, labels: Tensor) -> CleanBlock:
        """Return what is known of the clean images; computed once for all attacks."""
        if sample_ids not in self._clean:
            everything = torch.arange(len(images), device=images.device)
            parts = in_parts(
                lambda some: clean_block(self, images[some], labels[some]),
                everything,
                self.batch_size,
            )
            self._clean[sample_ids] = CleanBlock(
                *(torch.cat([getattr(p, f.name) for p in parts]) for f in fields(CleanBlock))
            )
        return self._clean[sample_ids]


@dataclass(frozen=True)
class CleanBlock:
    """Attack-independent facts of a block; each tensor is (B,), on the device."""

    pred: Tensor
    image_rfc: Tensor
    grad_rfc: Tensor
    zero_grad: Tensor


@dataclass(frozen=True)
class Block:
    """The result of one attack on one block of samples.

    Attributes:
        attack: attack name.
        sample_ids: (B,) ids in order.
        columns: column name -> (B,) or (B, 64) array; NaN or -1 (classes) where missing.
        spectrum_sum: (h, w) float64, sum over kept samples of the fftshifted p.
        kept: number of kept samples with a spectrum.
        examples: up to 4 (sample id, clean image, delta), (C, H, W) float32.
        deltas: (B', C, H, W) float32 of all attacked samples, with `delta_ids`; None unless asked.
    """

    attack: str
    sample_ids: tuple[int, ...]
    columns: Columns
    spectrum_sum: npt.NDArray[np.float64]
    kept: int
    examples: tuple[tuple[int, npt.NDArray[np.float32], npt.NDArray[np.float32]], ...]
    deltas: npt.NDArray[np.float32] | None = None
    delta_ids: tuple[int, ...] = ()


def check_logits(logits: object, batch: int, classes: int, name: str) -> None:
    """Raise BenchError unless logits are finite and (batch, classes)."""
    shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    if shape != (batch, classes):
        raise BenchError(
            f"model {name!r}: expected logits ({batch}, {classes}) for {batch} images of a data "
            f"set with {classes} classes, got {shape}; check the entry's dataset and the read-out"
        )
    assert isinstance(logits, Tensor), "its shape was just read"
    if not bool(logits.isfinite().all()):
        raise BenchError(
            f"model {name!r}: expected finite logits on clean images, got NaN or infinity; "
            "check the weights"
        )


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
        pred=logits.detach().argmax(1),
        image_rfc=spectral_metrics(images)["rfc"],
        grad_rfc=spectral_metrics(gradient.double() / safe)["rfc"],
        zero_grad=scale == 0,
    )


def run_block(
    job: Job,
    attack: str,
    sample_ids: Sequence[int],
    keep_deltas: bool = False,
    through: Callable[[int], None] = lambda samples: None,
) -> Block:
    """Attack a block and measure every column.

    Only samples that are classified correctly are attacked; the others are `clean_wrong`.

    Args:
        job: model, data and settings.
        attack: name of one of the job's attacks.
        sample_ids: ids of the block, in order.
        keep_deltas: also return every perturbation.
        through: told how many more samples of the block are through, batch by batch.

    Raises:
        BenchError: the model's logits are unusable.
    """
    ids = tuple(int(i) for i in sample_ids)
    images, labels = job.load(ids), job.labels(ids)
    clean = job.clean(ids, images, labels)
    rows = _Rows(len(ids))
    rows.put("label", slice(None), labels)
    rows.put("clean_pred", slice(None), clean.pred)
    correct = (clean.pred == labels).nonzero()[:, 0]
    rows.status[correct.cpu().numpy()] = "ok"
    through(len(ids) - len(correct))

    def attack_some(some: Tensor) -> _Part:
        part = _attack_part(job, attack, ids, images, labels, clean, some)
        through(len(some))
        return part

    parts = in_parts(attack_some, correct, job.batch_size)
    for part in parts:
        rows.fill(part, labels, clean.zero_grad)
    return _block(attack, ids, rows, parts, images.shape, keep_deltas)


@dataclass(frozen=True)
class _Part:
    """One attacked batch of a block; `chosen` are its places in the block."""

    chosen: Tensor
    ids: tuple[int, ...]
    images: Tensor
    outcome: AttackOutcome
    delta: Tensor
    metrics: dict[str, Tensor]
    zero: Tensor
    maps: Tensor
    seconds: float


def _attack_part(
    job: Job,
    attack: str,
    ids: tuple[int, ...],
    images: Tensor,
    labels: Tensor,
    clean: CleanBlock,
    chosen: Tensor,
) -> _Part:
    spec = job.attacks[attack]
    x, y = images[chosen], labels[chosen]
    part_ids = tuple(ids[int(i)] for i in chosen)
    begin = time.perf_counter()
    starts, ok = None, None
    if spec.minimal:
        starts, ok = job.starts.starts(attack, part_ids, y.tolist(), x)
    outcome = attack_batch(job.model, spec, x, y, starts, ok, job.step)
    seconds = (time.perf_counter() - begin) / max(len(part_ids), 1)
    delta = outcome.adversarial - x
    wide = delta.double()
    power = power_spectrum(wide)
    measured = Measured(
        clean=x,
        adversarial=outcome.adversarial,
        delta=wide,
        spectrum=spectral_metrics(wide, power),
        image_rfc=clean.image_rfc[chosen],
        grad_rfc=clean.grad_rfc[chosen],
    )
    return _Part(
        chosen=chosen,
        ids=part_ids,
        images=x,
        outcome=outcome,
        delta=delta,
        metrics={m.name: m.values(measured) for m in METRICS},
        zero=(delta == 0).flatten(1).all(1),
        maps=mean_map(normalised_power(power)),
        seconds=seconds,
    )


class _Rows:
    """The columns of one block while they are filled."""

    def __init__(self, count: int) -> None:
        self.columns: dict[str, npt.NDArray[Any]] = {
            name: np.full(count, -1, dtype=np.int32) for name in ("label", "clean_pred", "adv_pred")
        }
        for metric in METRICS:
            shape = (count,) if metric.length is None else (count, metric.length)
            self.columns[metric.name] = np.full(shape, np.nan)
        self.columns["zero_grad"] = np.full(count, -1, dtype=np.int8)
        self.columns["seconds"] = np.full(count, np.nan, dtype=np.float32)
        self.status = np.full(count, "clean_wrong", dtype=object)

    def put(self, name: str, where: Any, values: Tensor) -> None:
        self.columns[name][where] = values.cpu().numpy()

    def fill(self, part: _Part, labels: Tensor, zero_grad: Tensor) -> None:
        """Enter one attacked batch; a sample without a usable result keeps its gaps."""
        outcome = part.outcome
        where = part.chosen.cpu().numpy()
        status = np.full(len(where), "ok", dtype=object)
        status[(outcome.adv_pred == labels[part.chosen]).cpu().numpy()] = "not_fooled"
        status[part.zero.cpu().numpy()] = "zero"
        status[outcome.nonfinite.cpu().numpy()] = "nonfinite"
        status[outcome.init_failed.cpu().numpy()] = "init_failed"
        self.status[where] = status
        usable = ~(outcome.nonfinite | outcome.init_failed)
        there = where[usable.cpu().numpy()]
        self.put("adv_pred", there, outcome.adv_pred[usable])
        for name, values in part.metrics.items():
            self.put(name, there, values[usable])
        self.put("zero_grad", there, zero_grad[part.chosen][usable])
        self.columns["seconds"][where] = part.seconds


def _block(
    attack: str,
    ids: tuple[int, ...],
    rows: _Rows,
    parts: Sequence[_Part],
    shape: torch.Size,
    keep_deltas: bool,
) -> Block:
    side = (min(shape[2], 64), min(shape[3], 64))
    total, kept = np.zeros(side), 0
    examples: list[tuple[int, npt.NDArray[np.float32], npt.NDArray[np.float32]]] = []
    for part in parts:
        place = {sample: i for i, sample in enumerate(ids)}
        ok = [i for i, s in enumerate(part.ids) if rows.status[place[s]] == "ok"]
        total += part.maps[ok].sum(0).cpu().numpy() if ok else 0.0
        kept += len(ok)
        for i in ok[: EXAMPLES - len(examples)]:
            examples.append(
                (part.ids[i], part.images[i].cpu().numpy(), part.delta[i].cpu().numpy())
            )
    correct = rows.columns["label"] == rows.columns["clean_pred"]
    columns = dict(rows.columns)
    columns["clean_correct"] = correct
    columns["success"] = correct & np.isin(rows.status, ["ok"])
    columns["status"] = rows.status
    deltas = None
    if keep_deltas:
        empty = np.zeros((0, *shape[1:]), dtype=np.float32)
        deltas = np.concatenate([empty, *(p.delta.cpu().numpy() for p in parts)])
    return Block(
        attack=attack,
        sample_ids=ids,
        columns=columns,
        spectrum_sum=total,
        kept=kept,
        examples=tuple(examples),
        deltas=deltas,
        delta_ids=tuple(s for p in parts for s in p.ids),
    )


def block_samples(batch_size: int) -> int:
    """Return how many samples a block holds: whole batches, at least 32 samples."""
    return batch_size * math.ceil(32 / batch_size)
