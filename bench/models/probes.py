"""What a measurement takes for granted of a model, tried out before anything is measured.

An attack follows the gradient of a fixed function of one image. So a model is run on a few images,
forward and backward, again, one image at a time, and with and without gradients: a model that
draws random numbers (dropout left on, a stochastic defence), that mixes the images of a batch
(batch statistics), or that changes from call to call is none, and is refused with the reason. What
its gradient is (zero, NaN) is not judged here: the attack's status says it.

Float32 rounds otherwise for other batches. So where single images differ from the batch by more
than rounding may, a copy in float64 decides; where there can be none, only a gross difference
counts.
"""

from __future__ import annotations

import contextlib
import copy
import random
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from bench.errors import BenchError
from bench.models.identity import probe_images
from bench.models.probe_calls import Called, call, call_doubled, call_singly, same
from bench.models.probe_words import (
    check_logits,
    one_line,
    warn_of_probabilities,
    warn_of_single_images,
)

REPEATED = (1e-5, 1e-2)
"""Most by which a call may differ from the same call again, logits over their spread and gradients
over their norm, if no random numbers are drawn: kernels on a GPU may sum in another order."""
NEAR = (1e-5, 1e-3)
"""Differences of single images from the batch, in float32, that need no further look."""
WIDE = (1e-9, 1e-6)
"""The same in float64: more than this is no rounding."""
GROSS = (3e-2, 1.0)
"""The same in float32 for models that can't be run in float64."""
REPEATS = {False: 2, True: 8}
"""So often must a model give the same again, if it draws random numbers or not."""


def check_model(
    module: nn.Module,
    shape: tuple[int, int, int],
    classes: int,
    device: torch.device,
    *,
    name: str,
    gradients: bool = True,
) -> None:
    """Raise BenchError unless a model is a fixed function of one image.

    Warns (`BenchWarning`) of probabilities where logits are expected.

    Args:
        module: images in [0, 1] -> logits; eval mode, frozen, on `device`.
        shape: (C, H, W) of its input.
        classes: number of logits.
        device: where it is.
        name: for messages.
        gradients: the model will be attacked; False: only predictions are asked of it.

    Raises:
        BenchError: it does not take these images or give such logits, has no gradient, is random,
            changes from call to call, or mixes the images of a batch.
    """
    images = probe_images(shape).to(device)
    look = partial(check_logits, classes=classes, name=name)
    with _sharp():
        try:
            _check(module, images, name, gradients, look)
        except (RuntimeError, MemoryError):
            # out of memory, for all else is one line: then its batches will be small, too
            _check_alone(module, images[:1], name, gradients, look)


def _check_alone(
    module: nn.Module, image: Tensor, name: str, gradients: bool, look: Callable[..., None]
) -> None:
    try:
        _check(module, image, name, gradients, look)
    except (RuntimeError, MemoryError) as error:
        raise BenchError(
            f"expected memory for a batch of 1 image, found too little, in {name!r}; use a smaller "
            "model or a device with more memory"
        ) from error


def _check(
    module: nn.Module, images: Tensor, name: str, gradients: bool, look: Callable[..., None]
) -> None:
    def run(how: Callable[..., Called], wanted: bool = gradients) -> Called:
        return one_line(lambda: how(module, images, wanted, partial(look, wanted)), images, name)

    states = _random_states(images.device)
    first = run(call)
    # only now, for some models fill their tables when they are first called
    buffers = {key: value.clone() for key, value in module.named_buffers()}
    drawn = not all(map(same, states, _random_states(images.device)))
    warn_of_probabilities(first.logits, name)
    single = run(call_singly)
    for _ in range(REPEATS[drawn]):
        _must_repeat(first, run(call), drawn, name)
    _must_be_unchanged(module, buffers, name)
    found = _more_than_rounding(first, run(call, False), module, images, call)
    if found is not None:
        raise BenchError(
            f"model {name!r}: expected the same logits with and without gradients, got others "
            f"({found[1]:.1e} apart, in units of their size); it must not ask which is wanted"
        )
    found = _more_than_rounding(first, single, module, images, call_singly)
    if found is not None and found[0] == "gradients":
        # is it the model, or PyTorch, whose backward passes mistake strides in batches of one?
        doubled = run(call_doubled)
        found = _more_than_rounding(first, doubled, module, images, call_doubled)
        if found is None:
            warn_of_single_images(name)
    if found is not None:
        raise BenchError(
            f"model {name!r}: expected a function of one image, got {found[0]} that depend on the "
            f"others of its batch ({found[1]:.1e} apart, in units of their size; batch "
            "statistics?); call eval() where it is made, or normalise with fixed statistics"
        )


def _must_be_unchanged(module: nn.Module, before: dict[str, Tensor], name: str) -> None:
    """Raise BenchError if calls have changed a buffer."""
    now = dict(module.named_buffers())
    changed = [key for key in now if key not in before or not same(now[key], before[key])]
    if changed:
        raise BenchError(
            f"model {name!r}: expected a model that is the same after every call, found its buffer "
            f"{changed[0]!r} changed by one (batch norm in training mode?); call eval() where it "
            "is made"
        )


def _must_repeat(first: Called, again: Called, drawn: bool, name: str) -> None:
    """Raise BenchError if the same call gave something else."""
    if first.equals(again):
        return
    found = first.difference(again)
    allowed = (0.0, 0.0) if drawn else (max(REPEATED[0], first.resolution), REPEATED[1])
    what = _beyond(found, allowed)
    if what is None:
        return
    why = "it draws random numbers: dropout left on, or a stochastic defence"
    raise BenchError(
        f"model {name!r}: expected the same {what[0]} for the same images, got others "
        f"({why if drawn else 'it is random, or remembers earlier calls'}); only fixed functions "
        "are measured: switch the randomness off"
    )


def _more_than_rounding(
    batch: Called,
    other: Called,
    module: nn.Module,
    images: Tensor,
    how: Callable[[nn.Module, Tensor, bool], Called],
) -> tuple[str, float] | None:
    """Return what differs between the batch and another way to run it, and by how much."""
    found = batch.difference(other)
    if _beyond(found, NEAR) is None:
        return None
    wide = _in_float64(module, images, (batch, other), how)
    if wide is not None:
        return _beyond(wide, WIDE)
    return _beyond(found, (max(GROSS[0], batch.resolution), GROSS[1]))


def _beyond(found: tuple[float, float], allowed: tuple[float, float]) -> tuple[str, float] | None:
    for what, difference, most in zip(("logits", "gradients"), found, allowed, strict=True):
        if not difference <= most:
            return what, difference
    return None


def _in_float64(
    module: nn.Module,
    images: Tensor,
    runs: tuple[Called, Called],
    how: Callable[[nn.Module, Tensor, bool], Called],
) -> tuple[float, float] | None:
    """Return the differences that a copy in float64 shows; None if there can be none.

    Of the gradients only that of the first image counts, which is noise: on the others, constant
    on blocks, equal values compete in every max-pooling, and rounding says which one wins.
    """
    try:
        wide = copy.deepcopy(module).double().eval().requires_grad_(False)
        batch = call(wide, images.double(), runs[0].gradient is not None)
        other = how(wide, images.double(), runs[1].gradient is not None)
    except Exception:  # float32 written into the model's code, or too little memory
        return None
    if not batch.in_float64:
        return None
    return batch.difference(other)[0], batch[:1].difference(other[:1])[1]


def _random_states(device: torch.device) -> list[Tensor]:
    """Return the states of the generators that code draws from without making its own."""
    numpy_state = np.random.get_state(legacy=True)  # noqa: NPY002
    assert isinstance(numpy_state, tuple), "the legacy form is a tuple"
    words = np.append(np.asarray(numpy_state[1], dtype=np.int64), numpy_state[2])
    python = torch.tensor(random.getstate()[1], dtype=torch.int64)
    states = [torch.get_rng_state(), torch.from_numpy(words), python]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


@contextlib.contextmanager
def _sharp() -> Iterator[None]:
    """Switch TF32 off: its ten bits would hide what is looked for."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        ):
            yield
    finally:
        torch.set_float32_matmul_precision(before)
