"""Who measures which unit: `<unit>.claim.<number>`, written only where no such file is.

The claim with the highest number counts, while its owner is at work; the next number takes over
from one that is gone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from bench.results.filesystem import FileSystem
from bench.results.presence import Watch


class Claims:
    """The claims of this process at one place.

    Args:
        files: the storage.
        me: this process's id (`bench.results.presence.Presence.id`).
        watch: tells which processes are at work.
    """

    def __init__(self, files: FileSystem, me: str, watch: Watch) -> None:
        self._files, self._me, self._watch = files, me, watch
        self._owners: dict[str, str | None] = {}
        self._mine: dict[str, str] = {}

    def take(self, name: str, keys: Sequence[str]) -> bool:
        """Claim something for this process; False if another one has it.

        Args:
            name: key of what is claimed.
            keys: the keys that are there, claims among them.
        """
        head = f"{name}.claim."
        claims = sorted(key for key in keys if key.startswith(head))
        number = 0
        if claims:
            owner = self.owner(claims[-1])
            if owner == self._me:
                return True
            if owner is not None and self._watch.alive(owner):
                return False
            number = int(claims[-1].removeprefix(head)) + 1
        key = f"{head}{number:06d}"
        if not self._files.claim(key, json.dumps({"owner": self._me}).encode()):
            return False
        self._mine[name] = key
        return True

    def release(self, name: str | None = None) -> None:
        """Give up one claim, or all of this process."""
        for each in list(self._mine) if name is None else [name]:
            key = self._mine.pop(each, None)
            if key is not None:
                self._files.delete(key)
                self._owners.pop(key, None)  # the next claim of this number may be another's

    def abandoned(self, key: str) -> bool:
        """Return whether a claim's owner, another process, is gone and has left it."""
        owner = self.owner(key)
        return owner is not None and owner != self._me and not self._watch.alive(owner)

    def owner(self, key: str) -> str | None:
        """Return who made a claim; None if it is gone or says nothing."""
        if self._owners.get(key) is None:
            try:
                with self._files.open(key) as stream:
                    self._owners[key] = str(json.loads(stream.read())["owner"])
            except (OSError, ValueError, KeyError, TypeError):
                self._owners[key] = None
        return self._owners[key]
