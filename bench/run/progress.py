"""How far a run is: told to whoever watches, in samples of each attack."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol


class Progress(Protocol):
    """Who is told how far a run is."""

    def begin(self, attack: str, total: int, done: int) -> None:
        """An attack begins: so many samples, so many of them finished earlier."""

    def advance(self, attack: str, samples: int) -> None:
        """So many more samples of the attack are through."""

    def note(self, text: str) -> None:
        """Something else is being done, before the first attack."""


class Silent:
    """Progress that nobody looks at."""

    def begin(self, attack: str, total: int, done: int) -> None:
        """Say nothing."""

    def advance(self, attack: str, samples: int) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""


class Shown:
    """What a watcher was told: this process's samples batch by batch, others' block by block.

    Args:
        progress: the watcher.
        totals: attack -> samples, in the order that attacks are shown.
    """

    def __init__(self, progress: Progress, totals: Mapping[str, int]) -> None:
        self._progress, self._totals = progress, totals
        self._done = dict.fromkeys(totals, 0)
        self._begun: set[str] = set()

    def missing(self, counts: Mapping[str, int]) -> None:
        """So many samples of each attack are missing, whoever has measured the others."""
        for attack, count in counts.items():
            more = self._totals[attack] - count - self._done[attack]
            if more > 0:
                self._done[attack] += more
                if attack in self._begun:
                    self._progress.advance(attack, more)

    def begin(self, attack: str | None) -> None:
        """Show an attack, and those before it; None: all."""
        for name, total in self._totals.items():
            if name not in self._begun:
                self._begun.add(name)
                self._progress.begin(name, total, self._done[name])
            if name == attack:
                return

    def through(self, attack: str) -> Callable[[int], None]:
        """Return who is told that so many more samples of an attack are through here."""
        return partial(self.advance, attack)

    def advance(self, attack: str, samples: int) -> None:
        """So many more samples of an attack are through here."""
        samples = min(samples, self._totals[attack] - self._done[attack])  # some are tried again
        self._done[attack] += samples
        self._progress.advance(attack, samples)
