"""Whose turn it is to change a finished file: numbered entries, each written once.

    claim   its owner gathers new files and stages them
    commit  all is staged, and the entry says what is to be done; from now on anybody can do it
    done    it was done, or given up

A turn is taken, committed and taken over by writing the next number, which only one process can do:
who stalls and wakes up after another took over can't commit any more. A commit holds everything
that is to be done, so whoever finds one of a process that is gone carries it out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bench.results.filesystem import FileSystem
from bench.results.presence import Watch


class Turns:
    """The turns at one place.

    Args:
        files: the storage.
        folder: the place's folder of blocks.
        me: this process's id.
        watch: tells which processes are at work.
    """

    def __init__(self, files: FileSystem, folder: str, me: str, watch: Watch) -> None:
        self._files, self.folder = files, f"{folder}/merge"
        self._me, self._watch = me, watch

    def take(self) -> int | None:
        """Return the number of this process's turn; None while another one has it."""
        number, entry = self._last()
        if entry["kind"] == "claim" and entry.get("owner") == self._me:
            return number
        if entry["kind"] != "done" and self._busy(entry):
            return None
        if entry["kind"] == "commit":
            self.carry_out(number, entry)
            return None  # and look again at what is to be done
        return self._add(number + 1, {"kind": "claim"})

    def settle(self) -> None:
        """Carry out the commit of a process that is gone, if there is one."""
        number, entry = self._last()
        if entry["kind"] == "commit" and not self._busy(entry):
            self.carry_out(number, entry)

    def _busy(self, entry: Mapping[str, Any]) -> bool:
        """Return whether an entry is of another process that is at work."""
        owner = entry.get("owner")
        return owner != self._me and isinstance(owner, str) and self._watch.alive(owner)

    def commit(self, number: int, what: Mapping[str, Any]) -> bool:
        """Commit a turn and carry it out; False if another process has taken it over.

        Args:
            number: of the turn.
            what: target (key), base (its version that was read), moves ([from, to] in order, the
                target first), writes (key -> JSON), deletes (keys).
        """
        mine = self._add(number + 1, {"kind": "commit", **what})
        if mine is not None:
            self.carry_out(mine, {**what})
        return mine is not None

    def give_up(self, number: int) -> None:
        """End a turn in which nothing is to be done."""
        self._end(number)

    def carry_out(self, number: int, entry: Mapping[str, Any]) -> None:
        """Do what a commit says; a second time, or half done by somebody else, changes nothing."""
        moves = entry["moves"]
        staged, target = moves[0]
        changed = self._files.exists(staged) and self._files.version(target) != entry["base"]
        if changed and not self._files.holds(staged, target):
            # its owner stalled for so long that others have changed the file since
            self._end(number)
            for source, _ in moves:
                self._files.delete(source)
            return
        for source, to in moves:
            self._files.move(source, to)
        for key, value in entry["writes"].items():
            with self._files.put(key) as stream:
                stream.write(json.dumps(value).encode())
        for key in entry["deletes"]:
            self._files.delete(key)
        self._end(number)

    def _end(self, number: int) -> None:
        self._add(number + 1, {"kind": "done"})
        for found in self._numbers():
            if found <= number:
                self._files.delete(self._key(found))

    def _last(self) -> tuple[int, dict[str, Any]]:
        for number in reversed(self._numbers()):
            try:
                with self._files.open(self._key(number)) as stream:
                    found = json.loads(stream.read())
            except FileNotFoundError:
                continue
            except ValueError:
                found = None
            if not isinstance(found, dict) or "kind" not in found:
                found = {"kind": "claim"}  # of nobody
            return number, found
        return -1, {"kind": "done"}

    def _add(self, number: int, entry: Mapping[str, Any]) -> int | None:
        text = json.dumps({"owner": self._me, **entry}).encode()
        return number if self._files.claim(self._key(number), text) else None

    def _numbers(self) -> list[int]:
        names = [key.removeprefix(f"{self.folder}/") for key in self._files.keys(self.folder)]
        tails = [name.removesuffix(".json") for name in names if name.endswith(".json")]
        return sorted(int(tail) for tail in tails if tail.isdigit())

    def _key(self, number: int) -> str:
        return f"{self.folder}/{number:08d}.json"
