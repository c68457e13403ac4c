"""Several models in one command: which comes next, and which could not be measured."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from bench.errors import printable
from bench.run.several import Refused


def announce(place: int, names: Sequence[str]) -> None:
    """Say which of several models comes next."""
    if len(names) > 1:
        sys.stderr.write(f"[{place + 1}/{len(names)}] {names[place]}\n")


def refuse(refused: list[Refused], names: Sequence[str]) -> list[Refused]:
    """List those of several models that could not be measured, with what helps."""
    for each in refused if len(names) > 1 else ():
        reason = " ".join(each.reason.split())
        sys.stderr.write(printable(f"not measured: {each.name}: {reason}") + "\n")
    return refused
