"""What unfinished runs say of themselves, and whether another run may begin beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bench.errors import BenchError
from bench.results.match import NOTED, difference
from bench.results.presence import Watch
from bench.results.store import Store

NAMES = {
    (False, False): "rows",
    (False, True): "deltas",
    (True, False): "anew",
    (True, True): "anew-deltas",
}
"""(measured anew, with perturbations) -> the campaign's folder."""
NOTE = "note.json"


class Notes:
    """The notes at one result.

    Args:
        store: the result.
        me: this process's id.
        watch: tells which processes are at work.
    """

    def __init__(self, store: Store, me: str, watch: Watch) -> None:
        self._store, self._me, self._watch = store, me, watch

    def read(self, folder: str) -> dict[str, Any] | None:
        """Return a campaign's note; None if there is none, or it is damaged and now set aside."""
        key = f"{folder}/{NOTE}"
        try:
            with self._store.files.open(key) as stream:
                found = json.loads(stream.read())
        except FileNotFoundError:
            return None
        except ValueError:
            found = None
        if isinstance(found, dict):
            return found
        self._store.set_aside(key)
        return None

    def admit(self, mine: Mapping[str, Any], anew: bool, drop: bool = False) -> None:
        """Raise BenchError if an unfinished run of something else is in the way.

        Args:
            mine: metadata of this run.
            anew: this run replaces what is there.
            drop: remove what others have left that this run is to replace.
        """
        for name in NAMES.values():
            folder = f"{self._store.address.blocks}/{name}"
            note = self.read(folder)
            other = None if note is None else difference(note, mine)
            if other is None:
                continue
            where, busy = self._store.files.where(folder), bool(self._watch.others(self._me))
            if busy:
                raise BenchError(
                    f"another run is at work: {where} was made with {other}; wait for it, or "
                    "choose another --output"
                )
            if not anew and name.startswith("anew"):
                continue  # it was to replace the finished file, and has not
            if not anew:
                raise BenchError(
                    f"{where}, an unfinished run, was made with {other}; choose another --output, "
                    "or --overwrite to replace it"
                )
            if drop:
                for key in self._store.files.keys(folder):
                    self._store.files.delete(key)


def note_of(metadata: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Return what a run notes of itself: what it is, and more, such as its pace."""
    return {**{key: metadata[key] for key in NOTED if key in metadata}, **more}
