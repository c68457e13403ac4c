"""Progress of a study: a line a block, and one every minute within it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from bench.studies.run import Progress

LINE_EVERY = 60.0
"""Seconds between lines within a block."""


def timing(budget: float) -> Callable[[str, float], None]:
    """Return what writes a line for each cell that a plan times, to standard error."""

    def tell(name: str, spent: float) -> None:
        sys.stderr.write(f"timing some steps of {name} ({spent:.0f} of {budget:.0f} s spent)\n")
        sys.stderr.flush()

    return tell


class Lines(Progress):
    """Writes lines to standard error."""

    def __init__(self) -> None:
        self._block, self._place, self._written = "", "", 0.0
        self._begun, self._first = time.monotonic(), -1.0

    def begin(self, block: str, place: int, count: int) -> None:
        """Name the block."""
        self._block, self._place = block, f"[{place}/{count}]"
        self._begun = self._written = time.monotonic()
        self._first = -1.0

    def through(self, doing: str, share: float) -> None:
        """Say how far it is, now and then."""
        now = time.monotonic()
        if self._first < 0:  # what another process had done of it took none of this one's time
            self._begun, self._first = now, share
        if now - self._written < LINE_EVERY:
            return
        self._written = now
        done = share - self._first
        left = f", about {(now - self._begun) * (1 - share) / done:.0f} s left" if done > 0 else ""
        self._say(f"{doing}, {100 * share:.0f} %{left}")

    def end(self, block: str, seconds: float) -> None:
        """Say how long it took."""
        self._say(f"done, {seconds:.0f} s")

    def _say(self, text: str) -> None:
        sys.stderr.write(f"{self._place} {self._block}: {text}\n")
        sys.stderr.flush()
