"""Progress of training: a bar with the time left on a terminal, a line an epoch elsewhere."""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn

from bench.screen import Screen
from bench.training.curves import EpochRow
from bench.training.spread import Teller
from bench.training.train import Announcer

LINE_EVERY = 30.0
"""Seconds between plain lines within an epoch."""


class TrainBars(Screen, Announcer):
    """Shows each model's epochs and steps."""

    def __init__(self, console: Console | None = None) -> None:
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[note]}"),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
        )
        self._task: TaskID | None = None
        self._name = ""
        self._epochs = self._steps = self._taken = self._first = 0
        self._begun = self._written = 0.0

    def model(self, place: int, count: int, name: str) -> None:
        """A new model comes next."""
        self._name = f"[{place}/{count}] {name}" if count > 1 else name

    def start(self, done: int, epochs: int, steps: int) -> None:
        """Show the model's bar."""
        self._epochs, self._steps = epochs, steps
        self._taken = self._first = done * steps
        self._begun = self._written = time.monotonic()
        note = f"{done}/{epochs} epochs"
        self._task = self._progress.add_task(
            self._name, total=epochs * steps, completed=self._taken, note=note
        )
        if done:
            self._say(f"goes on after epoch {done} of {epochs}")

    def step(self) -> None:
        """Move the bar on, or write a line if the last one is a while ago."""
        self._taken += 1
        assert self._task is not None, "start comes before step"
        self._progress.advance(self._task)
        if time.monotonic() - self._written >= LINE_EVERY:
            epoch, step = divmod(self._taken, self._steps)
            self._say(f"epoch {epoch + 1}/{self._epochs}, step {step}/{self._steps}{self._left()}")

    def epoch(self, row: EpochRow) -> None:
        """Note the accuracies."""
        assert self._task is not None, "start comes before epoch"
        text = (
            f"{row.epoch}/{self._epochs} epochs, loss {row.train_loss:.4f}, "
            f"train {row.train_accuracy:.2f} %, test {row.test_accuracy:.2f} %"
        )
        self._progress.update(self._task, note=text)
        self._say(text + self._left())

    def _left(self) -> str:
        taken = self._taken - self._first
        rest = self._epochs * self._steps - self._taken
        seconds = (time.monotonic() - self._begun) / max(taken, 1) * rest
        return f", about {seconds:.0f} s left" if rest and taken else ""

    def _say(self, text: str) -> None:
        if self._console.is_terminal:
            return
        self._written = time.monotonic()
        sys.stderr.write(f"{self._name}: {text}\n")
        sys.stderr.flush()


class Ended(Teller):
    """A line for each net that an engine's worker has trained, or not."""

    def ended(self, place: int, count: int, name: str, reason: str | None) -> None:
        """A net has ended."""
        text = "trained" if reason is None else "not trained"
        sys.stderr.write(f"[{place}/{count}] {name}: {text}\n")
        sys.stderr.flush()
