"""Progress of a run: bars on a terminal, a line that renews itself in a notebook, else lines."""

from __future__ import annotations

import builtins
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
RENEW_EVERY = 0.5
"""Seconds after which a notebook's line is renewed."""


def is_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    shell = getattr(builtins, "get_ipython", None)
    return shell is not None and type(shell()).__name__ in ("ZMQInteractiveShell", "Shell")


def is_watched() -> bool:
    """Whether somebody sees what is printed: on a terminal or in a notebook."""
    return is_notebook() or Console(stderr=True).is_terminal


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
    """Shows each attack's samples; fulfils bench.run.progress.Progress."""

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
    """Progress of one attack as plain lines; in a notebook as one line that is renewed."""

    def __init__(self, attack: str, total: int, done: int) -> None:
        self.attack, self.total, self.done = attack, total, done
        self.first = done
        self.renewed = is_notebook()
        self.begun = self.written = time.monotonic()

    def advance(self, samples: int) -> None:
        self.done += samples
        every = RENEW_EVERY if self.renewed else LINE_EVERY
        if self.done >= self.total or time.monotonic() - self.written >= every:
            self.write()

    def write(self) -> None:
        self.written = time.monotonic()
        spent = self.written - self.begun
        through = self.done - self.first
        left = f", about {spent / through * (self.total - self.done):.0f} s left" if through else ""
        end = f", {spent:.1f} s" if self.done >= self.total and through else left
        text = f"{self.attack}: {self.done}/{self.total} samples{end}"
        if self.renewed:
            text = f"\r{text:<70}" + "\n" * (self.done >= self.total)
        sys.stderr.write(text if self.renewed else f"{text}\n")
        sys.stderr.flush()


class OneBar(Screen):
    """One bar for several models at once; what each tells of itself is summed up."""

    def __init__(self, console: Console | None = None) -> None:
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("samples"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
        )
        self._task = self._progress.add_task("", total=None)
        self._line = _Line("", 0, 0)

    def set(self, total: int, done: int, text: str) -> None:
        """Show so many samples of so many, and a few words."""
        self._progress.update(self._task, total=total or None, completed=done, description=text)
        if self._console.is_terminal:
            return
        line, more = self._line, total > self._line.total
        due = time.monotonic() - line.written >= LINE_EVERY
        ended = 0 < total == done != line.done
        line.attack, line.total, line.done = text, total, done
        if ended or more or due:
            line.write()

    def note(self, text: str) -> None:
        """Show a line."""
        self._console.print(text, highlight=False, markup=False)


class Sum:
    """Adds up what several models tell of themselves; each fulfils bench.run.local.Progress.

    Args:
        bar: shows the sum.
        text: beside it.
    """

    def __init__(self, bar: OneBar, text: str) -> None:
        self._bar, self._text = bar, text
        self._total = self._done = 0

    def begin(self, attack: str, total: int, done: int) -> None:
        """So many samples more."""
        self._total, self._done = self._total + total, self._done + done
        self._bar.set(self._total, self._done, self._text)

    def advance(self, attack: str, samples: int) -> None:
        """So many of them are through."""
        self._done += samples
        self._bar.set(self._total, self._done, self._text)

    def note(self, text: str) -> None:
        """Show a line."""
        self._bar.note(text)
