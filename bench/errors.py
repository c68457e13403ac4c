"""Errors that the user can fix: one line, no traceback, exit code 2. And warnings."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable


class BenchError(Exception):
    """Something the user can put right.

    The text is one line: what was expected, what was found, where, and what to do.
    The command line prints it without a traceback and exits with code 2.
    """


class WrongInput(BenchError, ValueError):
    """A value that a function can't take."""


class BenchWarning(UserWarning):
    """Something that the user should know, though the run goes on. One line, as the errors."""


def printable(text: str, allowed: str = "") -> str:
    """Return a text with characters that steer a terminal (ANSI codes, text direction) written out.

    Args:
        text: anything, such as a file's name.
        allowed: characters that stay as they are.
    """
    return "".join(
        c.encode("unicode_escape").decode() if c not in allowed and _steers(c) else c for c in text
    )


def _steers(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


LISTED = ("model", "dataset", "protocol", "attack", "metric")
"""Kinds of names that `bench list` shows."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> BenchError:
    """Return the error for a name that is not known, with the nearest known names.

    Args:
        kind: what is named, in the singular ("model", "attack").
        name: what the user wrote.
        known: every valid name.
    """
    names = sorted(known)
    name = name if len(name) <= 80 else name[:77] + "..."
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if near:
        hint = "did you mean " + " or ".join(repr(n) for n in near) + "?"
    elif len(names) > 8 and kind in LISTED:
        hint = f"`bench list {kind}s` shows all {len(names)}"
    else:
        more = f", ... ({len(names)} in all)" if len(names) > 8 else ""
        hint = "known: " + ", ".join(names[:8]) + more
    return BenchError(f"unknown {kind} {name!r}: {hint}")
