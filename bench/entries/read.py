"""Reading one TOML file: whatever is in it, an entry or one clear line comes out."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from bench.entries.dataset import DatasetEntry
from bench.entries.model import ModelEntry
from bench.entries.protocol import Protocol
from bench.entries.study import Study
from bench.errors import BenchError, printable

E = TypeVar("E", ModelEntry, DatasetEntry, Protocol, Study)

MOST_BYTES = 2**18
"""Of an entry's file; the longest, ImageNet's with its thousand classes, has 34 kB."""
MOST_DEEP = 16
"""Tables and lists within each other in an entry."""


def read_entry(path: Path, kind: type[E]) -> E:
    """Read and validate one TOML file.

    Args:
        path: the file.
        kind: the class of entry that it holds.

    Raises:
        BenchError: the file is missing, not TOML, or says something it must not; the text
            names file, key, what was expected and what was found.
    """
    return entry_of(parse(path), path, kind)


def entry_of(data: dict[str, Any], path: Path, kind: type[E]) -> E:
    """Return the entry that a file's content makes. Raises BenchError with what it must not say."""
    entry = _validated(data, path, kind)
    if entry.name != path.stem:
        raise BenchError(
            f"{path}: expected name = {path.stem!r} (the file's name), found {entry.name!r}; "
            "rename the file or the entry"
        )
    return entry


def parse(path: Path) -> dict[str, Any]:
    """Return what a TOML file holds, in plain text and nested no deeper than an entry is.

    Raises:
        BenchError: it can't be read, is too long, is not TOML, or holds what no entry does.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BenchError(f"{path}: expected a readable TOML file: {reason}") from None
    if len(data) > MOST_BYTES:
        raise BenchError(f"{path}: expected TOML of at most {MOST_BYTES} bytes, found more")
    try:
        found = tomllib.loads(data.decode("utf-8"))
    except RecursionError:
        raise BenchError(f"{path}: expected TOML, found brackets nested too deep") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BenchError(f"{path}: expected TOML, found a syntax error: {error}") from None
    except ValueError:  # what Python says of it is no advice
        raise BenchError(f"{path}: expected TOML, found a number of too many digits") from None
    _check_texts(found, path)
    return found


def _check_texts(data: dict[str, Any], path: Path) -> None:
    """Raise BenchError for values nested too deep and for characters that steer a terminal."""
    waiting: list[tuple[Any, int]] = [(data, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > MOST_DEEP:
            raise BenchError(f"{path}: expected an entry, found values nested too deep")
        if isinstance(value, dict):
            waiting += [(part, depth + 1) for pair in value.items() for part in pair]
        elif isinstance(value, list):
            waiting += [(part, depth + 1) for part in value]
        elif isinstance(value, str) and printable(value, allowed="\n\t") != value:
            raise BenchError(
                f"{path}: expected plain text, found control characters, in {short(value)}"
            )
        elif type(value) is int and abs(value) >= 2**63:
            raise BenchError(f"{path}: expected numbers within 64 bits, found a longer one")


def _validated(data: dict[str, Any], path: Path, kind: type[E]) -> E:
    try:
        return kind.model_validate_json(_to_json(data))
    except ValidationError as error:
        raise BenchError(first_problem(error, path)) from None


def _to_json(data: dict[str, Any]) -> str:
    """TOML arrays and dates become what strict JSON validation takes (tuples from lists)."""
    return json.dumps(data, default=str)


def first_problem(error: ValidationError, path: Path | str) -> str:
    """Return one line on the first thing that is wrong with an entry."""
    problems = error.errors(include_url=False)
    first = problems[0]
    key = short(".".join(str(part) for part in first["loc"]) or "the file", quoted=False)
    found = "" if first["type"] == "missing" else f", found {short(first['input'])}"
    message = first["msg"].removeprefix("Value error, ")
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{path}: {key}: {message[0].lower() + message[1:]}{found}{more}"


def short(value: object, quoted: bool = True) -> str:
    """Return a value as it is shown in an error, 60 characters at most."""
    text = repr(value) if quoted else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
