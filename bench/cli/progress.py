"""Progress of a run: bars with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

LINE_EVERY = 10.0
"""Seconds between plain lines."""


class Screen:
    """Bars on standard error while it is open; none where that is no terminal."""

    def __init__(self, *columns: ProgressColumn, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._progress = Progress(
            *columns, console=self._console, disable=not self._console.is_terminal
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()


class Bars(Screen):
    """Shows each attack's samples; fulfils bench.run.local.Progress."""

    def __init__(self, console: Console | None = None) -> None:
        super().__init__(
            TextColumn("{task.description:<10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("samples"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._lines: dict[str, _Line] = {}

    def begin(self, attack: str, total: int, done: int) -> None:
        """Show a new attack."""
        self._tasks[attack] = self._progress.add_task(attack, total=total, completed=done)
        self._lines[attack] = _Line(attack, total, done)
        if not self._console.is_terminal:
            self._lines[attack].write()

    def advance(self, attack: str, samples: int) -> None:
        """Move an attack's bar on, or write a line if the last one is a while ago."""
        self._progress.advance(self._tasks[attack], samples)
        if not self._console.is_terminal:
            self._lines[attack].advance(samples)

    def note(self, text: str) -> None:
        """Show a line."""
        self._console.print(text, highlight=False, markup=False)


class _Line:
    """Progress of one attack as plain lines."""

    def __init__(self, attack: str, total: int, done: int) -> None:
        self.attack, self.total, self.done = attack, total, done
        self.first = done
        self.begun = self.written = time.monotonic()

    def advance(self, samples: int) -> None:
        self.done += samples
        if self.done >= self.total or time.monotonic() - self.written >= LINE_EVERY:
            self.write()

    def write(self) -> None:
        self.written = time.monotonic()
        spent = self.written - self.begun
        through = self.done - self.first
        left = f", about {spent / through * (self.total - self.done):.0f} s left" if through else ""
        end = f", {spent:.1f} s" if self.done >= self.total and through else left
        sys.stderr.write(f"{self.attack}: {self.done}/{self.total} samples{end}\n")
        sys.stderr.flush()
