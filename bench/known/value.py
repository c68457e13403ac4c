"""One known value, and what came of it here."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Known:
    """A value that is known from outside this code.

    Attributes:
        name: what it is.
        expected: exact, a closed form, or measured once with independent code.
        tolerance: largest absolute difference.
        find: measures it on a device.
    """

    name: str
    expected: float
    tolerance: float
    find: Callable[[torch.device], float]


@dataclass(frozen=True)
class Line:
    """What came of one known value; `problem` says why nothing was found."""

    known: Known
    found: float
    problem: str = ""

    @property
    def ok(self) -> bool:
        """Whether it is within its tolerance; what was not found is not."""
        return abs(self.found - self.known.expected) <= self.known.tolerance

    def cells(self) -> dict[str, Any]:
        """Return what a table shows of it."""
        known = self.known
        return {
            "value": known.name, "expected": known.expected, "found": self.found,
            "tolerance": known.tolerance, "ok": self.ok, "problem": self.problem,
        }  # fmt: skip


def measure(known: Known, device: torch.device) -> Line:
    """Measure one value; an error in doing so is a value that is off, not the end of the test."""
    try:
        return Line(known, float(known.find(device)))
    except Exception as error:  # whatever breaks on this machine is what the test is for
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        return Line(known, math.nan, reason)
