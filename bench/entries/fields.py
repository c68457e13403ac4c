"""The base of every entry, and the kinds of values that several of them hold."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@+-]*$", max_length=120)]


def _line(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    if not text.isprintable():
        raise ValueError("must be one line of printable text")
    return text


Line = Annotated[str, Field(max_length=500), AfterValidator(_line)]
"""One line of text that says something."""
Percent = Annotated[float, Field(ge=0, le=100)]


class Frozen(BaseModel):
    """Base of every entry: immutable, unknown keys are errors, no silent type conversion."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
