"""How this process uses the machine that it runs on: memory kept, threads for small work.

Neither changes a number's value by more than another batch size does; the first changes none.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

SMALL_WORK = 2**15
"""Input values of a batch that one thread gets through sooner than two."""
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""glibc's names, from malloc.h."""
NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Tell the C library to keep the memory that tensors free, for the next tensors of their size.

    By default glibc maps every large tensor anew and gives it back when it is freed, and the
    kernel clears each of its pages again: on a CPU that can take longer than the arithmetic of a
    convolution (`tests/benchmarks/allocator.py`). The process stays at its peak size instead.

    Returns:
        True if this C library took the setting (glibc), False if it has none.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, NEVER))


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch compute with so many threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def threads_for(values: int, device: torch.device) -> Iterator[None]:
    """Use one thread for small batches on the CPU: two wait for each other longer than they
    compute, most of all on a busy machine.

    Args:
        values: input values of a batch, B * C * H * W.
        device: where the model is.
    """
    before = torch.get_num_threads()
    if device.type == "cpu" and values <= SMALL_WORK:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
