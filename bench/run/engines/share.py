"""One of several processes that share models by claims: what a task of a SLURM array runs."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from bench.errors import BenchError
from bench.files import write_bytes
from bench.run.plan import Plan
from bench.run.request import Request
from bench.run.several import Refused, in_turns

EVERY = 2.0
"""Seconds between two notes of how far it is."""


@dataclass(frozen=True)
class Shared:
    """What came of a process's part.

    Attributes:
        done: place of a model -> its plan, where its file has every row.
        refused: place -> why it could not be measured to its end.
    """

    done: Mapping[int, Plan]
    refused: Mapping[int, Refused]


@dataclass(frozen=True)
class Share:
    """A process's part; called, it works until nothing is left anywhere.

    Attributes:
        requests: of the models, as text, in the order that all processes have them in.
        index: which process this is, in [0, count).
        count: how many there are.
        notes: file that says how far it is.
    """

    requests: tuple[str, ...]
    index: int
    count: int
    notes: str

    def __call__(self) -> Shared:
        """Measure; claims are given up and what is finished is kept if it is interrupted."""
        from bench.run.evaluate import take_part
        from bench.run.finished import finished

        signal.signal(signal.SIGTERM, _interrupt)  # a job that is to make room for another
        requests = [Request.read(text) for text in self.requests]
        notes = Notes(Path(self.notes))
        done: dict[int, Plan] = {}

        def attempt(place: int, begin_at: float, stay: bool) -> bool:
            if done and finished(requests[place]):
                return True
            run, whole = take_part(requests[place], notes.of(place), begin_at=begin_at, stay=stay)
            if whole:
                done[place] = run.plan
            return whole

        names = [request.what.model for request in requests]
        try:
            refused = in_turns(names, self.index / self.count, attempt)
        except BenchError as error:  # there is one model only
            refused = [Refused(names[0], str(error))]
        notes.write()
        return Shared(done, {names.index(each.name): each for each in refused})

    def checkpoint(self) -> Any:
        """Return how submitit begins it again in a job that SLURM has requeued: as it began."""
        from bench.run.engines.slurm_jobs import delayed

        return delayed(self)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@dataclass
class Notes:
    """How far a process is with each model, in a file: place -> attack -> [samples, done].

    Args:
        path: the file.
    """

    path: Path
    _found: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    _written: float = 0.0

    def of(self, place: int) -> Part:
        """Return who is told how far one model is."""
        return Part(self._found.setdefault(str(place), {}), self._maybe)

    def _maybe(self) -> None:
        if time.monotonic() - self._written > EVERY:
            self.write()

    def write(self) -> None:
        """Write the file."""
        self._written = time.monotonic()
        write_bytes(self.path, json.dumps(self._found).encode())


@dataclass(frozen=True)
class Part:
    """One model's part of the notes; fulfils bench.run.progress.Progress."""

    found: dict[str, list[int]]
    changed: Callable[[], None]

    def begin(self, attack: str, total: int, done: int) -> None:
        """An attack begins."""
        self.found[attack] = [total, done]
        self.changed()

    def advance(self, attack: str, samples: int) -> None:
        """So many more samples are through."""
        self.found[attack][1] += samples
        self.changed()

    def note(self, text: str) -> None:
        """Say nothing: it is in the task's log."""


def sum_of(notes: Path) -> tuple[int, int]:
    """Return the samples of all models that were opened, and how many of them are done.

    Each process knows of the others' work what it has seen: the largest number is the latest.

    Args:
        notes: folder of the files.
    """
    best: dict[tuple[str, str], tuple[int, int]] = {}
    for path in notes.glob("*.progress.json"):
        try:
            found = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
        for place, attacks in found.items():
            for attack, (total, done) in attacks.items():
                before = best.get((place, attack), (0, 0))
                best[place, attack] = (max(before[0], total), max(before[1], done))
    return sum(t for t, _ in best.values()), sum(d for _, d in best.values())
