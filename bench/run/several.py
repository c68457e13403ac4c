"""Several models in one command: what can be measured is, the rest is listed with what helps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.errors import BenchError

Attempt = Callable[[int, float, bool], bool]
"""(place of the model, share of its units to begin at, wait for others) -> whether it is done."""


@dataclass(frozen=True)
class Refused:
    """A model that could not be measured, or not to its end.

    Attributes:
        name: of the model.
        reason: one line that says what to do.
    """

    name: str
    reason: str


def in_turns(names: Sequence[str], start: float, attempt: Attempt) -> list[Refused]:
    """Measure model after model, wherever there is something to take; wait only at the end.

    Several processes that begin at equal distances spread over the models, and over the units of
    one where they are more than the models. Each goes on, round, until nothing is left.

    Args:
        names: of the models, in the order that all processes have them in.
        start: share of all work that lies before this process's beginning, in [0, 1).
        attempt: measures one model.

    Returns:
        The models that failed. With one model only, its error is raised.
    """
    if len(names) == 1:
        attempt(0, start, True)
        return []
    first = int(start * len(names))
    begin_at = start * len(names) - first
    refused: dict[int, Refused] = {}
    waiting = [*range(first, len(names)), *range(first)]
    for stay in (False, True):
        unfinished = []
        for place in waiting:
            try:
                if not attempt(place, begin_at, stay):
                    unfinished.append(place)
            except BenchError as error:
                refused[place] = Refused(names[place], str(error))
        waiting = unfinished
    return [refused[place] for place in sorted(refused)]


def not_measured(refused: Sequence[Refused], count: int) -> BenchError:
    """Return the one line for models that failed.

    Args:
        refused: at least one.
        count: of all models.
    """
    reasons = {each.reason for each in refused}
    if len(refused) == count and len(reasons) == 1:
        return BenchError(reasons.pop())
    return BenchError(
        f"expected {count} models measured, found {len(refused)} that could not be, listed above "
        "with what helps; the others are done"
    )
