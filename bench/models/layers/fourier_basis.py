"""The real Fourier basis of an axis, and which frequencies a real image needs.

Of the frequencies 0 .. n // 2 of an axis, 0 and (for an even n) n / 2 have no sine; the others have
a cosine and a sine. In two dimensions two axes with sines give two frequencies, (ky, kx) and
(ky, -kx); otherwise there is one.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

Size = tuple[int, int]


def counts(n: int) -> Size:
    """Return how many of the frequencies 0 .. n // 2 have no sine, and how many have one."""
    return 2 - n % 2, (n - 1) // 2


def kinds(size: Size) -> list[Size]:
    """Return the shapes (rows, columns) of the five kinds of frequencies, in a spectrum's order.

    No sine; a sine along the columns only; along the rows only; along both, (ky, kx) and (ky, -kx).
    """
    (row_alone, row_pairs), (column_alone, column_pairs) = counts(size[0]), counts(size[1])
    both = (row_pairs, column_pairs)
    return [
        (row_alone, column_alone),
        (row_alone, column_pairs),
        (row_pairs, column_alone),
        both,
        both,
    ]


def frequencies(size: Size) -> int:
    """Return F, the number of frequencies of the spectrum of an image of that size."""
    return sum(rows * columns for rows, columns in kinds(size))


@functools.lru_cache(maxsize=64)
def basis(n: int, first: int, taps: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the orthonormal real Fourier basis of an axis at some of its positions.

    Args:
        n: length of the axis.
        first: the first position.
        taps: how many positions from there on.

    Returns:
        (n, taps): cosines of the frequencies without a sine, cosines of the others, their sines.
    """
    alone, pairs = counts(n)
    # float64, rounded once at the end: float32 would lose digits of the larger angles
    with torch.inference_mode(False):  # kept tensors must serve gradients too
        position = torch.arange(first, first + taps, dtype=torch.float64)
        lonely = torch.tensor([0.0, n / 2][:alone], dtype=torch.float64)
        paired = torch.arange(1, pairs + 1, dtype=torch.float64)
        turn = 2 * math.pi / n
        rows = [
            math.sqrt(1 / n) * torch.cos(turn * torch.outer(lonely, position)),
            math.sqrt(2 / n) * torch.cos(turn * torch.outer(paired, position)),
            math.sqrt(2 / n) * torch.sin(turn * torch.outer(paired, position)),
        ]
        return torch.cat(rows).to(device=device, dtype=dtype)


@functools.lru_cache(maxsize=64)
def leave_factor(size: Size, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return (F, 1, 1, 1): what a spectrum is multiplied with before `synthesise` inverts."""
    # (cc - ss, cc + ss) is a rotation times sqrt 2, there and back: twice the image where both sine
    return _by_kind(size, 1.0, 1.0, 0.5, dtype, device)


@functools.lru_cache(maxsize=64)
def kernel_factor(size: Size, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return (F, 1, 1, 1): spectrum of a kernel -> its unnormalised discrete Fourier transform."""
    # undoes the basis' sqrt(1 / n), or sqrt(2 / n) with a sine, of each axis
    root = math.sqrt(size[0] * size[1])
    return _by_kind(size, root, root / math.sqrt(2), root / 2, dtype, device)


def _by_kind(
    size: Size, none: float, one: float, both: float, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """Return (F, 1, 1, 1) values by the number of axes that have a sine."""
    values = [none, one, one, both, both]
    with torch.inference_mode(False):
        lengths = torch.tensor([rows * columns for rows, columns in kinds(size)])
        spread = torch.tensor(values, dtype=torch.float64).repeat_interleave(lengths)
        return spread[:, None, None, None].to(device=device, dtype=dtype)
