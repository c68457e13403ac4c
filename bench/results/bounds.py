"""Bounds of a stranger's JSON: how long, how deep, how large, and what is wrong in one line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

MAX_BYTES = 1_000_000
"""Of the JSON text."""
MAX_TEXT = 20_000
"""Characters of one text."""
MAX_DEPTH = 12
MAX_VALUES = 100_000
LARGEST = 2**63 - 1


def load_json(raw: bytes) -> Any:
    """Return a JSON value of bounded size.

    Raises:
        ValueError: too long, or not JSON; the text says what was expected and found.
    """
    if len(raw) > MAX_BYTES:
        raise ValueError(f"expected at most {MAX_BYTES:,} bytes, found {len(raw):,}")
    try:
        return json.loads(raw, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        text = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"expected JSON, found something else ({text[:160]})") from None


def unbounded(found: Any) -> Iterator[tuple[str, str]]:
    """Every text, number and nesting that is out of bounds, in known and unknown keys."""
    waiting: list[tuple[str, Any, int]] = [("", found, 0)]
    seen = 0
    while waiting:
        key, value, depth = waiting.pop()
        seen += 1
        if depth > MAX_DEPTH:
            yield "", "expected flat JSON, found it nested too deep"
        elif seen > MAX_VALUES:
            yield "", f"expected at most {MAX_VALUES:,} values, found more"
        elif isinstance(value, dict):
            for name, inner in value.items():
                waiting.append((f"{key}.{name}".strip("."), inner, depth + 1))
                waiting.append((f"{key} (a key)".strip(), str(name), depth + 1))
        elif isinstance(value, list):
            waiting += [(f"{key}[{i}]", inner, depth + 1) for i, inner in enumerate(value)]
        elif isinstance(value, str) and len(value) > MAX_TEXT:
            yield key, f"expected short text, found {len(value)} characters"
        elif isinstance(value, str) and not all(c.isprintable() or c in "\n\t" for c in value):
            yield key, f"expected printable text, found {_show(value)}"
        elif isinstance(value, int) and not -LARGEST <= value <= LARGEST:
            yield key, f"expected a number below 2^63, found {_show(value)}"


_WORDS = {
    "missing": "this key",
    "string_type": "str",
    "int_type": "int",
    "bool_type": "bool",
    "dict_type": "dict",
    "list_type": "list",
    "model_type": "dict",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
    "too_short": "{min_length} values",
    "too_long": "{max_length} values",
    "string_too_long": "short text",
    "string_pattern_mismatch": "64 hex digits",
    "literal_error": "{expected}",
}
"""pydantic's kind of error -> what was expected."""


def expected(error: Mapping[str, Any]) -> str:
    """Return "expected X, found Y" for one of pydantic's errors."""
    kind, context = error["type"], error.get("ctx", {})
    wanted = _WORDS.get(kind, error["msg"]).format_map(context)
    shown = "none" if kind == "missing" else _show(error["input"])
    if kind == "string_too_long":
        shown = f"{len(error['input'])} characters"
    return f"expected {wanted}, found {shown}"


def _show(value: object) -> str:
    if isinstance(value, int) and not -LARGEST <= value <= LARGEST:
        return f"a number of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")
