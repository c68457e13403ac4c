"""Numbers and names as text: rounding, intervals, and escaping for Markdown."""

from __future__ import annotations

import math
import re

from bench.stats.intervals import Interval

NONE = "\N{EN DASH}"
"""Shown where a number does not exist."""


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


def interval(found: Interval, digits: int = 3) -> str:
    """Return "mean [low, high]", the mean alone if it has no interval."""
    if math.isnan(found.mean):
        return NONE
    if math.isnan(found.low):
        return number(found.mean, digits)
    low, high = number(found.low, digits), number(found.high, digits)
    return f"{number(found.mean, digits)} [{low}, {high}]"


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
