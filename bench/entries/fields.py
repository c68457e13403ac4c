"""The base of every entry, and the kinds of values that several of them hold."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from bench.entries.probe_names import PROBES

_SIDE_KINDS = (
    *("extras", "clean", "perturbations", "challenge", "verify", "blocks"),
    *("transfer", "theory"),
)


def is_side_kind(text: str) -> bool:
    """Return whether files and folders beside a result are called so: `<model>.<kind>`."""
    return text in _SIDE_KINDS or text in PROBES


def _check_name(text: str) -> str:
    """Refuse what would lie where another entry's files lie."""
    kind = text.rpartition(".")[2]
    if "." in text and is_side_kind(kind):
        raise ValueError(
            f'a name must not end in ".{kind}": the files beside the results of '
            f"{text.rpartition('.')[0]!r} are called so"
        )
    if "@" in text:
        raise ValueError('a name must not contain "@": it sets seeds and controls apart')
    return text


LARGEST = 2**31 - 1
"""Of counts, sizes and seeds: what every program and file format holds."""


def _inside(path: str) -> str:
    """A path below the registry, on every system: it is read, and named in `git add`."""
    parts = path.split("/")
    if not re.fullmatch(r"[A-Za-z0-9_.@+/-]+", path) or path[0] in "/-" or "" in parts:
        raise ValueError("must be a path of letters, digits and _.@+- below registry/")
    if any(part in (".", "..") for part in parts):
        raise ValueError("must be a path below registry/ without . or ..")
    return path


def _line(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    if not text.isprintable():
        raise ValueError("must be one line of printable text")
    return text


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@+-]*$", max_length=120),
    AfterValidator(_check_name),
]
Line = Annotated[str, Field(max_length=500), AfterValidator(_line)]
"""One line of text that says something."""
Percent = Annotated[float, Field(ge=0, le=100)]
Count = Annotated[int, Field(ge=1, le=LARGEST)]
Side = Annotated[int, Field(ge=1, le=8192)]
"""Side of a square image in pixels."""
Seed = Annotated[int, Field(ge=0, le=LARGEST)]
Inside = Annotated[str, Field(min_length=1, max_length=300), AfterValidator(_inside)]
"""Path of a file of the registry, relative to it."""


class Frozen(BaseModel):
    """Base of every entry: immutable, unknown keys are errors, no silent type conversion."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
