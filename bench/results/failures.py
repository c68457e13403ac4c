"""Units that failed: how often, in whatever process, and what was said.

    <unit>.failed.<id>.json     one failure, with its reason, of a process that went on

A process that died in the middle of a unit leaves its claim instead, and that counts as much. What
was there when this process came does not count: the same command, given again, tries again.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence

from bench.errors import BenchError, printable
from bench.results.campaign import Unit
from bench.results.claims import Claims
from bench.results.filesystem import FileSystem

TRIES = 3
"""Times that a unit is tried before it is given up, by all processes together."""
SHOWN = 3
"""Units that an error names."""
DIED = "the process that measured it ended in the middle of it"


class Failures:
    """The failures at one campaign since this process came.

    Args:
        files: the storage.
        folder: the campaign's folder.
        claims: tells whose process died.
    """

    def __init__(self, files: FileSystem, folder: str, claims: Claims) -> None:
        self._files, self._folder, self._claims = files, folder, claims
        self._before = frozenset(files.keys(folder))

    def add(self, unit: Unit, reason: str) -> None:
        """Note a failure, for all who work here."""
        key = f"{self._folder}/{unit.name}.failed.{uuid.uuid4().hex}.json"
        self._files.claim(key, json.dumps({"reason": reason}).encode())

    def count(self, unit: Unit, keys: Sequence[str]) -> int:
        """Return how often a unit has failed.

        Args:
            unit: which.
            keys: all keys of the campaign.
        """
        return len(self._noted(unit, keys)) + self._deaths(unit, keys)

    def reason(self, unit: Unit, keys: Sequence[str]) -> str:
        """Return what was said of a failure of a unit."""
        for key in self._noted(unit, keys):
            try:
                with self._files.open(key) as stream:
                    return str(json.loads(stream.read())["reason"])
            except (OSError, ValueError, KeyError, TypeError):
                continue
        return DIED

    def _noted(self, unit: Unit, keys: Sequence[str]) -> list[str]:
        head = f"{self._folder}/{unit.name}.failed."
        return [key for key in keys if key.startswith(head) and key not in self._before]

    def _deaths(self, unit: Unit, keys: Sequence[str]) -> int:
        head = f"{self._folder}/{unit.name}.claim."
        claims = [key for key in keys if key.startswith(head) and key not in self._before]
        return sum(self._claims.abandoned(key) for key in claims)


def failed_units(model: str, failed: Sequence[tuple[Unit, str]], missing: int) -> BenchError:
    """Return the one line for units that were given up.

    Args:
        model: name of the model.
        failed: the units, each with what was said of it.
        missing: samples that they hold, over all attacks.
    """
    shown = "; ".join(
        f"{where(unit)}: {printable(' '.join(reason.split()))[:300]}"
        for unit, reason in failed[:SHOWN]
    )
    more = f"; and {len(failed) - SHOWN} more" if len(failed) > SHOWN else ""
    return BenchError(
        f"expected every unit of {model} measured, found {len(failed)} that failed {TRIES} times "
        f"({missing} rows are missing): {shown}{more}. What was finished is kept: correct what is "
        "said, and the same command tries them again"
    )


def where(unit: Unit) -> str:
    """Return a unit in words."""
    return f"{unit.attack}, samples {min(unit.ids)} to {max(unit.ids)}"
