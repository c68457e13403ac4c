"""A short calibration: how does this model, on this machine and batch, take its steps fastest?

A choice changes the rounding of float32 results, as another batch size does. It comes from a clock,
so a run that is resumed must use the choice that it began with: keep `StepChoice.describe()`.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor, nn

from bench.attacks.fold import fold_batchnorm
from bench.attacks.step import GradientStep, margin_cotangent

SMALLEST_GAIN = 0.03
"""A choice must save this share of the time, else the simpler one stays."""
SECONDS, MOST_ROUNDS = 0.3, 20
"""Short steps are timed for this long each, up to so many times, for busy machines are noisy."""
TOLERANCE = 1e-3
"""Largest relative difference of a sample's gradient (or of the logits) that a choice may make."""


@dataclass(frozen=True)
class StepChoice:
    """How a model runs its steps; the default is plain eager PyTorch."""

    fold_batchnorm: bool = False
    """Fold batch normalisation into the convolutions."""
    channels_last: bool = False
    """Memory format of weights and images."""
    micro_batch: int | None = None
    """Images in one pass: small passes stay in the cache and reuse their memory; None: all."""

    def describe(self) -> dict[str, bool | int | None]:
        """Return the choice for metadata, JSON-ready; `StepChoice(**...)` restores it."""
        return asdict(self)


def prepare(model: nn.Module, choice: StepChoice, images: Tensor) -> GradientStep:
    """Return the step that a choice describes.

    Args:
        model: images in [0, 1] -> (B, classes) logits; eval mode, frozen; not changed.
        choice: from `calibrate`, or restored.
        images: (B, C, H, W) float, one image is enough: folding watches a forward pass.
    """
    if choice.fold_batchnorm:
        model, _ = fold_batchnorm(model, images[:1])
    if choice.channels_last:
        # a copy, for the caller's model keeps its layout
        model = copy.deepcopy(model).to(memory_format=torch.channels_last)
    return GradientStep(model, micro_batch=choice.micro_batch, channels_last=choice.channels_last)


def calibrate(model: nn.Module, images: Tensor, labels: Tensor, *, rounds: int = 3) -> StepChoice:
    """Return the fastest choice whose results agree with the plain model's.

    Costs about 6 * (rounds + 1) steps on the batch, and some seconds at least.

    Args:
        model: images in [0, 1] -> (B, classes) logits; eval mode, parameters frozen.
        images: (B, C, H, W) float32 in [0, 1], a batch as the attacks will see it.
        labels: (B,) int64.
        rounds: least number of timed steps of each choice, interleaved; the fastest counts.
    """
    if len(images) == 0:
        return StepChoice()
    chosen = StepChoice()
    kinds = [type(module) for module in model.modules()]
    if any(issubclass(kind, nn.Conv2d) for kind in kinds):
        folds = (
            (False, True) if any(issubclass(kind, nn.BatchNorm2d) for kind in kinds) else (False,)
        )
        layouts = (
            replace(chosen, fold_batchnorm=fold, channels_last=last)
            for fold in folds
            for last in (False, True)
        )
        chosen = _fastest(model, images, labels, layouts, rounds)
    sizes = [None, *(s for s in (64, 32, 16, 8, 4, 2) if s < len(images))][:4]
    return _fastest(
        model, images, labels, (replace(chosen, micro_batch=size) for size in sizes), rounds
    )


def _fastest(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    choices: Iterable[StepChoice],
    rounds: int,
) -> StepChoice:
    """Return the fastest of the choices that agree; the first wins unless clearly beaten."""
    reference = GradientStep(model)(images, labels, margin_cotangent)
    steps = {choice: prepare(model, choice, images) for choice in choices}
    first = next(iter(steps))
    for choice, step in list(steps.items()):  # warm-up, and the check
        if not _agree(reference, _timed(step, images, labels)[1]) and choice != first:
            del steps[choice]
    best, spent, turn = dict.fromkeys(steps, float("inf")), 0.0, 0
    while turn < rounds or (turn < MOST_ROUNDS and spent < SECONDS * len(steps)):
        for choice, step in steps.items():
            seconds, _ = _timed(step, images, labels)
            best[choice] = min(seconds, best[choice])
            spent += seconds
        turn += 1
    fastest = min(best, key=best.__getitem__)
    return fastest if best[fastest] < (1 - SMALLEST_GAIN) * best[first] else first


def _timed(
    step: GradientStep, images: Tensor, labels: Tensor
) -> tuple[float, tuple[Tensor, Tensor]]:
    _wait(images)
    start = time.perf_counter()
    result = step(images, labels, margin_cotangent)
    _wait(images)
    return time.perf_counter() - start, result


def _wait(images: Tensor) -> None:
    if images.is_cuda:
        torch.cuda.synchronize(images.device)


def _agree(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> bool:
    """Return True if logits and gradients of all samples differ within the tolerance."""
    for a, b in zip(one, other, strict=True):
        size = a.flatten(1).norm(dim=1).clamp_min(torch.finfo(a.dtype).tiny)
        if not bool(((a - b).flatten(1).norm(dim=1) <= TOLERANCE * size).all()):
            return False
    return True
