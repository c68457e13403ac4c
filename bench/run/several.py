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


def judged(names: Sequence[str], check: Callable[[str], object]) -> tuple[list[str], list[Refused]]:
    """Return the models that can be measured as far as one sees at once, and the others.

    Args:
        names: of the models.
        check: raises BenchError for one that can't be measured.

    Raises:
        BenchError: there is one model only, and it can't be measured.
    """
    possible: list[str] = []
    refused: list[Refused] = []
    for name in names:
        try:
            check(name)
            possible.append(name)
        except BenchError as error:
            if len(names) == 1:
                raise
            refused.append(Refused(name, str(error)))
    return possible, refused


def in_turns(names: Sequence[str], start: float, attempt: Attempt) -> list[Refused]:
    """Measure model after model, wherever there is something to take; wait only at the end.

    Several processes that begin at equal distances spread over the models, and over the units of
    one where they are more than the models. Each goes on, round, until nothing is left.

    Args:
        names: of the models, in the order that all processes have them in.
        start: share of all work that lies before this process's beginning, in [0, 1).
        attempt: measures one model.

    Returns:
        The models that failed.
    """
    first = int(start * len(names))
    begin_at = start * len(names) - first
    refused: dict[int, Refused] = {}
    waiting = [*range(first, len(names)), *range(first)]
    for stay in (False, True) if len(names) > 1 else (True,):
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
