"""Numbers and names as text: rounding, intervals, and escaping for Markdown."""

from __future__ import annotations

import math
import re

from bench.stats.intervals import Interval, is_few

NONE = "\N{EN DASH}"
"""Shown where a number does not exist."""
NORMS = {"l1": "L1", "l2": "L2", "linf": "Linf"}
"""Norms for people."""


def number(value: float, digits: int = 3) -> str:
    """Return a number with fixed decimals; "–" for NaN, "∞" for infinity."""
    if math.isnan(value):
        return NONE
    if math.isinf(value):
        return "∞"
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text


def significant(value: float, digits: int = 3) -> str:
    """Return a positive number with so many significant digits, without an exponent."""
    if not math.isfinite(value) or value == 0:
        return number(value, 0)
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{decimals}f}"


def median(found: Interval) -> str:
    """Return "0.938 [0.912, 0.961]" with three significant digits; no interval where none is."""
    if math.isnan(found.mean) or math.isnan(found.low):
        return significant(found.mean)
    return f"{significant(found.mean)} [{significant(found.low)}, {significant(found.high)}]"


def interval(found: Interval, digits: int = 3) -> str:
    """Return "mean [low, high]", the mean alone if it has no interval."""
    if math.isnan(found.mean):
        return NONE
    if math.isnan(found.low):
        return number(found.mean, digits)
    low, high = number(found.low, digits), number(found.high, digits)
    return f"{number(found.mean, digits)} [{low}, {high}]"


def over(found: Interval, n: int, digits: int = 3) -> str:
    """Return "mean [low, high] (n)", with a star where n is so small that the interval is wrong."""
    if n == 0:
        return f"{NONE} (0)"
    return f"{interval(found, digits)} ({counted(n)})"


def counted(n: int) -> str:
    """Return a number of samples, with a star if an interval over them is too narrow."""
    return f"{n}\\*" if is_few(n) else str(n)


def percent(found: Interval, digits: int = 1) -> str:
    """Return a proportion in percent, without the sign, with its interval."""
    return interval(Interval(*(100 * value for value in found)), digits)


def count(value: object) -> str:
    """Return a number of parameters for people: 25,600,000 -> "25.6M"."""
    if not isinstance(value, int) or isinstance(value, bool):
        return NONE
    for size, sign in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value >= size:
            return f"{significant(value / size)}{sign}"
    return str(value)


def ranks(rank: tuple[int, int] | None) -> str:
    """Return "3" or "2–4"."""
    if rank is None:
        return NONE
    return str(rank[0]) if rank[0] == rank[1] else f"{rank[0]}\N{EN DASH}{rank[1]}"


def markdown(value: object) -> str:
    """Return text that stands for itself in a Markdown table cell: no markup, no HTML."""
    text = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", " ", str(value))
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]|!#~$])", r"\\\1", text)
