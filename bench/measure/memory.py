"""Working in batches that fit: halve on out-of-memory and go on, losing nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from bench.errors import BenchError

R = TypeVar("R")


def in_parts(
    work: Callable[[Tensor], R],
    indices: Tensor,
    size: int,
    halved: Callable[[int], None] | None = None,
) -> list[R]:
    """Apply `work` to indices in batches of `size`; a batch that does not fit is halved.

    Args:
        work: (b,) indices -> result of that batch.
        indices: (N,) int64.
        size: largest batch.
        halved: told the new size where a batch was halved.

    Returns:
        The results in order; none for no indices.

    Raises:
        BenchError: a single sample does not fit.
    """
    results: list[R] = []
    if len(indices) == 0:
        return results
    waiting = list(torch.split(indices, size))
    while waiting:
        batch = waiting.pop(0)
        try:
            results.append(work(batch))
            continue
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        # outside the handler, so that the failed step's tensors are freed first
        if len(batch) == 1:
            raise BenchError(
                "expected memory for a batch of 1 sample, found too little; use a smaller model "
                "or a device with more memory"
            )
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        half = (len(batch) + 1) // 2
        if halved is not None:
            halved(half)
        waiting[:0] = [batch[:half], batch[half:]]
    return results


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that memory ran out, on the CPU or a GPU."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        "can't allocate memory" in str(error) or "not enough memory" in str(error)
    )
