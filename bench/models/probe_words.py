"""What is said of a model that can't be run, gives no logits, or gives odd ones."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from bench.errors import BenchError, BenchWarning
from bench.models.probe_calls import Called


def one_line(work: Callable[[], Called], images: Tensor, name: str) -> Called:
    """Run a model; whatever its code raises becomes one line, but for memory."""
    try:
        return work()
    except (BenchError, torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:
        if "allocate memory" in str(error) or "not enough memory" in str(error):
            raise
        reason = " ".join((str(error).strip() or type(error).__name__).splitlines()[0].split())
        size = " x ".join(str(side) for side in images.shape[1:])
        raise BenchError(
            f"expected a model that takes {size} images, got {reason!r}, from {name!r}; "
            "check dataset and input_size in its entry"
        ) from error


def check_logits(gradients: bool, logits: object, *, classes: int, name: str) -> None:
    """Raise BenchError unless these are finite logits that have the gradients wanted of them."""
    found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    if not isinstance(logits, Tensor) or logits.ndim != 2 or logits.shape[1] != classes:
        raise BenchError(
            f"model {name!r}: expected logits (images, {classes}) of a data set with {classes} "
            f"classes, got {found}; check the entry's dataset and the read-out"
        )
    if not logits.is_floating_point():
        raise BenchError(
            f"model {name!r}: expected floating-point logits, got {logits.dtype}; return what "
            "comes before argmax"
        )
    if not bool(logits.isfinite().all()):
        raise BenchError(
            f"model {name!r}: expected finite logits on probe images, got NaN or infinity; "
            "check the weights"
        )
    if gradients and not logits.requires_grad:
        raise BenchError(
            f"model {name!r}: expected logits that can be differentiated by the images, got logits "
            "without a gradient; gradient attacks need one: remove detach or no_grad"
        )


def warn_of_single_images(name: str) -> None:
    """Warn that PyTorch's backward pass is wrong for batches of one image of this model."""
    warnings.warn(
        f"model {name!r}: PyTorch {torch.__version__} gives another gradient for an image alone "
        "than for the same image in a batch, where the model gives the same logits: batches of one "
        "can't be trusted here; use --batch-size 2 or more",
        BenchWarning,
        stacklevel=2,
    )


def warn_of_probabilities(logits: Tensor, name: str) -> None:
    """Warn of logits (B, classes) that are probabilities."""
    rows = logits.sum(1)
    if bool((logits >= 0).all()) and torch.allclose(rows, torch.ones_like(rows), atol=1e-3):
        warnings.warn(
            f"model {name!r}: expected logits, got probabilities (none negative, sum 1): a softmax "
            "flattens gradients, so attacks may stall; return what comes before it",
            BenchWarning,
            stacklevel=2,
        )
