"""All pairs of models: paired differences on common ids, and their errors in shared resamples.

M models, n sample ids.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bench.stats.bootstrap import Bools, Floats, Halved
from bench.stats.stepdown import FEWEST_IDS, Ints, drawn


class Pairs(NamedTuple):
    """Pairs of some models with some others.

    Attributes:
        difference: mean of row minus column over the common ids; 0 where there is none.
        squares: sum of squared deviations of the paired differences from their mean, at least
            what rounding makes of it.
        common: number of common ids.
    """

    difference: Floats
    squares: Floats
    common: Ints

    @property
    def comparable(self) -> Bools:
        """Whether there are enough common ids to claim anything."""
        result: Bools = self.common >= FEWEST_IDS
        return result

    def error(self) -> Floats:
        """Return the classical standard error of each difference; infinite below two ids."""
        free = self.common * (self.common - 1.0)
        result: Floats = np.where(free > 0, np.sqrt(self.squares / np.maximum(free, 1)), np.inf)
        return result

    def statistic(self) -> Floats:
        """Return |difference| in standard errors."""
        return ratio(np.abs(self.difference), self.error())


@dataclass(frozen=True)
class Models:
    """Values that are ready to be compared.

    Attributes:
        values: (M, n) float64, or float32 for speed, less the mean of each id, which leaves
            differences as they are and their squares their digits; 0 where not kept.
        kept: (M, n).
    """

    values: npt.NDArray[Any]
    kept: Bools

    def narrowed(self) -> Models:
        """Return the same in float32."""
        return Models(self.values.astype(np.float32), self.kept)

    def pairs(self, rows: slice, columns: slice) -> Pairs:
        """Compare models of two ranges."""
        kind = self.values.dtype
        a, b = self.values[rows], self.values[columns]
        ka, kb = self.kept[rows].astype(kind), self.kept[columns].astype(kind)
        common = ka @ kb.T
        mean = (a @ kb.T - ka @ b.T) / np.maximum(common, 1)
        apart = (a * a) @ kb.T + ka @ (b * b).T
        squares = apart - 2 * (a @ b.T) - common * mean**2
        # equal models have a difference of rounding errors and no spread: not significant
        squares = np.maximum(squares, 16 * np.finfo(kind).eps * apart)
        return Pairs(
            mean.astype(np.float64), squares.astype(np.float64), np.rint(common).astype(np.int64)
        )

    def drawn(self, first: Ints, second: Ints, counts: Halved) -> Halved:
        """Return (p, B) standardised errors of p pairs' differences in each resample."""
        both = self.kept[first] & self.kept[second]
        return drawn((self.values[first] - self.values[second]) * both, both, counts)


def prepare(values: npt.ArrayLike, kept: npt.ArrayLike) -> Models:
    """Return models whose values are centred; what is kept but not finite counts as not kept.

    Args:
        values: (M, n).
        kept: (M, n).

    Raises:
        ValueError: not (M, n) twice.
    """
    array, mask = np.asarray(values, dtype=np.float64), np.asarray(kept, dtype=bool)
    if array.ndim != 2 or mask.shape != array.shape:
        raise ValueError(
            f"expected values and kept of one shape (M, n), found {array.shape} and {mask.shape}"
        )
    mask = mask & np.isfinite(array)
    filled = np.where(mask, array, 0.0)
    centre = filled.sum(axis=0) / np.maximum(mask.sum(axis=0), 1)
    return Models(np.where(mask, filled - centre, 0.0), mask)


def ratio(size: Floats, error: Floats) -> Floats:
    """Return size / error; 0 / 0 is 0: no difference without error is none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        result: Floats = np.where(size > 0, size / error, 0.0)
    return result
