"""Who is at work at a place: a file for each process, whose counter its heartbeat raises.

Others judge by their own clock: a process whose counter has not moved while they watched for
`STALE` seconds is gone, whatever the clocks of the two machines show. A process of the same machine
that is no longer there is gone at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.results.filesystem import FileSystem

BEAT = 10.0
"""Seconds between two beats of the heart."""
STALE = 120.0
"""Seconds of watching without a beat after which a process counts as gone; several beats, for
caches of network file systems show old content for up to a minute."""


def here() -> dict[str, Any]:
    """Return what tells this process from all others: machine (since its start), namespace, id."""
    return {
        "host": os.uname().nodename,
        "boot": _text("/proc/sys/kernel/random/boot_id"),
        "pids": _link("/proc/self/ns/pid"),
        "pid": os.getpid(),
        "begun": _begun(os.getpid()),
    }


def _text(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def _link(path: str) -> str | None:
    try:
        return str(Path(path).readlink())
    except OSError:
        return None


def _begun(pid: int) -> str | None:
    """Return when a process began, in ticks since the machine did; None if it runs no more."""
    text = _text(f"/proc/{pid}/stat")
    if text is None:
        return None
    state, *rest = text.rpartition(")")[2].split()
    return None if state in "ZX" else rest[18]


def surely_gone(found: dict[str, Any]) -> bool:
    """Return whether a process of this very machine and namespace runs no more."""
    mine = here()
    if mine["boot"] is None or any(found.get(k) != mine[k] for k in ("host", "boot", "pids")):
        return False
    pid = found.get("pid")
    return not isinstance(pid, int) or _begun(pid) != found.get("begun")


class Presence:
    """This process at one place; a context within which its heart beats."""

    def __init__(self, files: FileSystem, folder: str, beat: float = BEAT) -> None:
        self.id = uuid.uuid4().hex
        self._files, self._folder, self._every = files, folder, beat
        self._end = threading.Event()
        self._count = 0
        self._thread = threading.Thread(target=self._run, daemon=True, name="heartbeat")

    def __enter__(self) -> Presence:
        self._write()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Stop the heart and go; a second time does nothing."""
        if not self._end.is_set():
            self._end.set()
            self._thread.join()
            self._files.delete(key(self._folder, self.id))

    def _write(self) -> None:
        text = json.dumps({**here(), "beat": self._count})
        with self._files.put(key(self._folder, self.id)) as stream:
            stream.write(text.encode())

    def _run(self) -> None:
        while not self._end.wait(self._every):
            self._count += 1
            with contextlib.suppress(BenchError, OSError):  # the disk may be full for a while
                self._write()


def key(folder: str, owner: str) -> str:
    """Return the key of a process's file."""
    return f"{folder}/workers/{owner}.json"


class Watch:
    """Tells which processes of a place are at work, by this process's own clock."""

    def __init__(
        self,
        files: FileSystem,
        folder: str,
        stale: float = STALE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._files, self._folder, self._stale, self._clock = files, folder, stale, clock
        self._seen: dict[str, tuple[str, float]] = {}

    def alive(self, owner: str) -> bool:
        """Return whether a process is at work, as far as one can tell."""
        try:
            with self._files.open(key(self._folder, owner)) as stream:
                text = stream.read().decode(errors="replace")
        except OSError:
            return False  # it took its file with it when it went
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if isinstance(found, dict) and surely_gone(found):
            return False
        before = self._seen.get(owner)
        if before is None or before[0] != text:
            self._seen[owner] = (text, self._clock())
            return True
        return self._clock() - before[1] < self._stale

    def others(self, me: str | None) -> list[str]:
        """Return the processes at work here besides one's own."""
        names = [k.rpartition("/")[2] for k in self._files.keys(f"{self._folder}/workers")]
        owners = [name.removesuffix(".json") for name in names]
        return [owner for owner in owners if owner != me and self.alive(owner)]
