"""A short calibration: how does this model, on this machine and batch, take its steps fastest?

A choice changes the rounding of float32 results, as another batch size does, and nothing else:
what it computes must equal the plain model in float64, and in float32 it must come as near to that
as the plain model itself. (Near a kink of a ReLU either may take the other side: a comparison of
the two in float32 would refuse what is no less accurate.) The choice comes from a clock, so a run
that is resumed must use the one that it began with: keep `StepChoice.describe()`.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from bench.steps.columns import column_gradient, narrow
from bench.steps.fold import fold_batchnorm
from bench.steps.pack import pack_linear, packable
from bench.steps.race import Timer, race, seconds_of
from bench.steps.step import GradientStep, margin_cotangent

SMALLEST_GAIN, SMALLEST_GAIN_OF_PARTS = 0.02, 0.05
"""A choice must save this share of the time, else the simpler one stays; smaller passes more, for
what they save is often the noise of the clock."""
EXACT = 1e-9
"""Largest relative difference from the plain model in float64."""
TOLERANCES = (1e-5, 1e-3)
"""Relative errors of logits and gradients that are always good enough, in float32."""
SLACK = 2.0
"""Beyond these, a choice may be so many times less accurate than the plain model."""
LARGE, PASS = 3 * 128 * 128, 8
"""From so many values an image goes through the model in passes of this many images, on a CPU."""
JUDGED = 8
"""Images of the batch on which accuracy is judged."""
WORTH_SAYING = 2.0
"""Seconds that a calibration may take at least for it to be said."""
SHARE = 0.05
"""Of a run's time that its calibration may take."""
JUDGING = 30
"""Steps whose time the judging of all choices takes, about: much of it is in float64."""


@dataclass(frozen=True)
class StepChoice:
    """How a model runs its steps; the default is plain eager PyTorch."""

    fold_batchnorm: bool = False
    """Fold batch normalisation into the convolutions."""
    channels_last: bool = False
    """Memory format of weights and images."""
    column_gradient: bool = False
    """Differentiate convolutions of few input channels as a product with their weights."""
    pack_linear: bool = False
    """Lay the weights of linear layers out once for oneDNN's products (CPU)."""
    micro_batch: int | None = None
    """Images in one pass: small passes stay in the cache and reuse their memory; None: all."""
    equal_passes: bool = False
    """Every pass has `micro_batch` images, so that no result depends on the size of the batch."""

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
    if choice.column_gradient:
        model, _ = column_gradient(model)
    if choice.pack_linear:
        model, _ = pack_linear(model)
    return GradientStep(
        model,
        micro_batch=choice.micro_batch,
        channels_last=choice.channels_last,
        equal_passes=choice.equal_passes,
    )


def equal_pass(images: Tensor) -> int | None:
    """Return how many of these images (B, C, H, W) are to go into each pass; None: any number.

    Large images fill a processor a few at a time, so nothing is lost where all passes are alike.
    """
    if images.is_cuda or len(images) == 0 or images[0].numel() < LARGE:
        return None
    return min(PASS, len(images))


def calibrate(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    rounds: int = 3,
    timer: Timer = seconds_of,
    planned: int | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> StepChoice:
    """Return the fastest choice whose results agree with the plain model's.

    A choice that is less accurate than the plain model, or that fails, is never returned.

    Costs about 10 * (rounds + 1) steps on the batch, and some seconds at least.

    Args:
        model: images in [0, 1] -> (B, classes) logits; eval mode, parameters frozen.
        images: (B, C, H, W) float32 in [0, 1], a batch as the attacks will see it.
        labels: (B,) int64.
        rounds: least number of timed steps of each choice, interleaved.
        timer: says how long a step takes on this machine.
        planned: passes that the run will take with it: questions that would cost more than
            `SHARE` of their time are left open; None: no limit.
        tell: is told how far it is.
    """
    if len(images) == 0:
        return StepChoice()
    size = equal_pass(images)
    chosen = StepChoice(micro_batch=size, equal_passes=size is not None)
    images, labels = images[:size], labels[:size]
    budget = _Budget(prepare(model, chosen, images), images, labels, planned, timer, tell)

    def choose(choices: Sequence[StepChoice], gain: float) -> StepChoice:
        if not budget.allows(len(choices) * (rounds + 1)):
            return choices[0]
        makers = {choice: partial(prepare, model, choice, images) for choice in choices}
        return race(makers, images, labels, rounds=rounds, gain=gain, timer=timer, left=budget.left)

    for layouts in _allowed(model, images, labels) if budget.allows(JUDGING) else ():
        # each question is decided with the answers to those before it
        candidates = [chosen, *(replace(chosen, **change) for change in layouts)]
        chosen = choose(candidates, SMALLEST_GAIN)
    if size is not None:
        return chosen
    sizes = [None, *(s for s in (64, 32, 16, 8, 4, 2) if s < len(images))][:4]
    parts = [replace(chosen, micro_batch=size) for size in sizes]
    return choose(parts, SMALLEST_GAIN_OF_PARTS)


class _Budget:
    """What a calibration may cost, by the clock."""

    def __init__(
        self,
        step: GradientStep,
        images: Tensor,
        labels: Tensor,
        planned: int | None,
        timer: Timer,
        tell: Callable[[str], None],
    ) -> None:
        self._begun, self._tell = time.perf_counter(), tell
        self._step, self._limit = 0.0, math.inf
        if planned is not None:
            timer(step, images, labels)  # warm-up
            self._step = timer(step, images, labels)
            self._limit = SHARE * planned * self._step

    def left(self) -> float:
        """Return the seconds that are left."""
        return self._limit - (time.perf_counter() - self._begun)

    def allows(self, steps: int) -> bool:
        """Return whether so many more steps may be taken, and say so where that is felt."""
        if steps * self._step > self.left():
            return False
        if math.isfinite(self._limit) and self._limit >= WORTH_SAYING:
            self._tell(
                f"calibrating the model step: {self._limit - self.left():.0f} s of at most "
                f"{self._limit:.0f} s"
            )
        return True


def _allowed(model: nn.Module, images: Tensor, labels: Tensor) -> Iterator[list[dict[str, bool]]]:
    """Give, question by question, the changes to the plain step that are as accurate as it is."""
    kinds = {type(module) for module in model.modules()}
    convolves = any(issubclass(kind, nn.Conv2d) for kind in kinds)
    normalises = convolves and any(issubclass(kind, nn.BatchNorm2d) for kind in kinds)
    questions: list[list[dict[str, bool]]] = []
    if convolves:
        layouts = [
            {"fold_batchnorm": fold, "channels_last": last}
            for fold in (False, True)
            for last in (False, True)
        ]
        questions.append([c for c in layouts[1:] if normalises or not c["fold_batchnorm"]])
    if narrow(model):
        questions.append([{"column_gradient": True}])
    if images.dtype == torch.float32 and packable(model):
        questions.append([{"pack_linear": True}])
    if not questions:
        return
    try:
        judge = _Judge(model, images, labels)
    except Exception:  # a model or a device that knows no float64, or can't be copied
        return
    for question in questions:
        accepted = [change for change in question if judge.accepts(StepChoice(**change))]
        if accepted:
            yield accepted


class _Judge:
    """Says which choices compute what the plain model computes."""

    def __init__(self, model: nn.Module, images: Tensor, labels: Tensor) -> None:
        self.model, self.images, self.labels = model, images[:JUDGED], labels[:JUDGED]
        self.wide = copy.deepcopy(model).double()
        self.truth = self._run(GradientStep(self.wide), torch.float64)
        self.plain = self._errors(self._run(GradientStep(model), images.dtype))

    def accepts(self, choice: StepChoice) -> bool:
        """Return True if a choice is exact in float64 and as accurate as the plain model."""
        try:
            return self._agrees(choice)
        except Exception:
            # whatever a stranger's model can't take (a layout, a copy): the plain step remains
            return False

    def _agrees(self, choice: StepChoice) -> bool:
        if choice.fold_batchnorm and fold_batchnorm(self.model, self.images[:1])[1] == 0:
            return False
        wide = replace(choice, pack_linear=False)  # packing is for float32
        if wide != StepChoice():
            step = prepare(self.wide, wide, self.images.double())
            found = self._errors(self._run(step, torch.float64))
            # only all samples alike: a NaN or one wrong sample is False here
            if not all(bool((error <= EXACT).all()) for error in found):
                return False
        step = prepare(self.model, choice, self.images)
        errors = self._errors(self._run(step, self.images.dtype))
        return all(
            bool(error.median() <= max(tolerance, SLACK * float(plain.median())))
            for error, plain, tolerance in zip(errors, self.plain, TOLERANCES, strict=True)
        )

    def _run(self, step: GradientStep, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        return step(self.images.to(dtype), self.labels, margin_cotangent)

    def _errors(self, found: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the relative errors (B,) of logits and gradients."""
        logits, gradient = (
            (value.double() - true).flatten(1).norm(dim=1)
            / true.flatten(1).norm(dim=1).clamp_min(torch.finfo(torch.float64).tiny)
            for value, true in zip(found, self.truth, strict=True)
        )
        return logits, gradient
