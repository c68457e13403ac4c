"""Errors that the user can fix: one line, no traceback, exit code 2. And warnings."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BenchError(Exception):
    """Something the user can put right.

    The text is one line: what was expected, what was found, where, and what to do.
    The command line prints it without a traceback and exits with code 2.
    """


class BenchWarning(UserWarning):
    """Something that the user should know, though the run goes on. One line, as the errors."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> BenchError:
    """Return the error for a name that is not known, with the nearest known names.

    Args:
        kind: what is named, in the singular ("model", "attack").
        name: what the user wrote.
        known: every valid name.
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if near:
        hint = "did you mean " + " or ".join(repr(n) for n in near) + "?"
    elif len(names) <= 8:
        hint = "known: " + ", ".join(names)
    else:
        hint = f"`bench list {kind}s` shows all {len(names)}"
    return BenchError(f"unknown {kind} {name!r}: {hint}")
