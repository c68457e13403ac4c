"""From who is told apart from whom to ranks and tie groups, both of them sets.

Lower is better throughout. M models.

Source: Goldstein and Spiegelhalter 1996 (rank intervals).
"""

from __future__ import annotations

import string
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Signs = npt.NDArray[np.int8]
"""(M, M): -1 where the row is significantly lower (better) than the column, 1 where it is higher,
0 where the two are not told apart; of `bench.stats.simultaneous` or `bench.stats.recipes`."""


def rank_intervals(signs: Signs) -> npt.NDArray[np.int64]:
    """Return [1 + number significantly better, M - number significantly worse] of each model.

    Args:
        signs: (M, M).

    Returns:
        (M, 2) lowest and highest rank.
    """
    better = (signs > 0).sum(axis=1)
    worse = (signs < 0).sum(axis=1)
    return np.stack([1 + better, len(signs) - worse], axis=1)


def tie_groups(order: Sequence[int], signs: Signs) -> list[str]:
    """Return the tie group of each model, best first: "a", "b", ... "z", "aa", ...

    A group holds the models that are not separable from its first member; the first model that
    is opens the next group.

    Args:
        order: model indices, best first.
        signs: (M, M).

    Returns:
        Group letters by model index.
    """
    groups = [""] * len(order)
    first, number = None, -1
    for model in order:
        if first is None or signs[first, model] != 0:
            first, number = model, number + 1
        groups[model] = letters(number)
    return groups


def letters(number: int) -> str:
    """Return 0 -> "a", 25 -> "z", 26 -> "aa"."""
    text = ""
    number += 1
    while number > 0:
        number, digit = divmod(number - 1, 26)
        text = string.ascii_lowercase[digit] + text
    return text
