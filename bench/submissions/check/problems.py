"""What is wrong with a submission: where, what, and what to do."""

from __future__ import annotations

import reprlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Problem:
    """One finding.

    Attributes:
        file: path as the user gave it, printable.
        where: "row 17" and the like, "metadata weights.kind", or "" for the whole file.
        text: what was expected and what was found.
        remedy: what to do.
    """

    file: str
    where: str
    text: str
    remedy: str

    def __str__(self) -> str:
        place = f"{self.file}: {self.where}" if self.where else self.file
        return f"{place}: {self.text}; {self.remedy}"


MAX_PROBLEMS = 200
"""Of one file; who has more has one."""
MAX_LINE = 1000
"""Characters of a problem's text."""
REMEASURE = "measure again with `bench eval` and submit that file unchanged"


class Findings:
    """Collects the problems of one file."""

    def __init__(self, file: str) -> None:
        self.file = printable(file)
        self.problems: list[Problem] = []

    def add(self, where: str, text: str, remedy: str = REMEASURE) -> None:
        """Add one problem; the last one of too many says so."""
        if len(self.problems) >= MAX_PROBLEMS:
            return
        if len(self.problems) == MAX_PROBLEMS - 1:
            where, text = "", f"expected fewer than {MAX_PROBLEMS} problems, found more"
        where, text = printable(where[:MAX_LINE]), printable(text[:MAX_LINE])
        self.problems.append(Problem(self.file, where, text, remedy))

    def rows(
        self, bad: npt.ArrayLike, text: str, values: Any = None, remedy: str = REMEASURE
    ) -> bool:
        """Add one problem for all rows that a condition holds for; True if there are any.

        Args:
            bad: (N,) bool over the file's rows.
            text: what was expected.
            values: (N,) what was found, for the first of the rows.
            remedy: what to do.
        """
        places = np.flatnonzero(np.asarray(bad, dtype=bool))
        if len(places) == 0:
            return False
        first = int(places[0])
        more = f" and {len(places) - 1} more rows" if len(places) > 1 else ""
        found = "" if values is None else f", found {_value(values[first])}"
        self.add(f"row {first}{more}", f"expected {text}{found}", remedy)
        return True


def _value(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return f"{float(value):.6g}"
    return short(value)


def short(value: object, length: int = 80) -> str:
    """Return a value as one short printable line, in a time that does not grow with the value."""
    text = printable(_start(value, length))
    return text if len(text) <= length else text[: length - 3] + "..."


def _start(value: object, length: int) -> str:
    """The beginning of a value's text; only so much of it is ever made."""
    if isinstance(value, str):
        return repr(value[: length + 1])
    if isinstance(value, int) and not -(10**length) < value < 10**length:
        return f"an integer of {value.bit_length()} bits"
    if isinstance(value, dict | list | tuple):
        return _Short(length).repr(value)
    return str(value)


class _Short(reprlib.Repr):
    """A container's text, of bounded size and depth."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.maxlevel = 3
        self.maxdict = self.maxlist = self.maxtuple = 8
        self.maxstring = self.maxother = self.maxlong = length


def printable(text: str) -> str:
    """Return text without control characters or undecodable bytes, so that it is safe to print."""
    safe = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in safe)
