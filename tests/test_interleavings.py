"""All interleavings of workers that share units: nothing is lost, nothing measured twice."""

from __future__ import annotations

from typing import Any

import pytest
from interleavings import Model, State, right

from bench.results.campaign import Unit
from bench.results.workplace import Workplace


@pytest.mark.parametrize(
    ("workers", "units", "deaths", "spread", "states"),
    [
        (3, 2, 0, False, 5_325),
        (2, 3, 1, False, 3_855),
        (2, 4, 0, True, 6_538),
    ],
)
def test_nothing_is_lost_and_nothing_doubled(
    workers: int, units: int, deaths: int, spread: bool, states: int
) -> None:
    model = Model(workers, units, deaths, spread)
    found = model.explore(right(model), ends=True)
    assert found == states, "another protocol, or another search: say so here"


@pytest.mark.slow
@pytest.mark.parametrize(("units", "deaths", "states"), [(2, 2, 45_636)])
def test_three_workers(units: int, deaths: int, states: int) -> None:
    """With four units there are as many states as `python tests/interleavings.py 3 4 0` prints."""
    model = Model(3, units, deaths)
    assert model.explore(right(model)) == states


def ends(model: Model) -> set[tuple[tuple[str, ...], ...]]:
    """Every outcome: which units are written how often, and who has died."""
    found = set()

    def keep(state: State) -> None:
        states = tuple(sorted(worker.state for worker in state.workers))
        found.add((state.measured, states))

    model.explore(keep)
    return found


@pytest.mark.parametrize(("workers", "units", "deaths"), [(2, 2, 1), (3, 1, 2)])
def test_what_counts_as_one_state_has_the_same_outcomes(
    workers: int, units: int, deaths: int
) -> None:
    short, plain = Model(workers, units, deaths), Model(workers, units, deaths, plain=True)
    assert ends(short) == ends(plain)


# ---------------------------------------------------------------- protocols that are wrong


class LooksOnce(Workplace):
    """Does not look again after it has claimed a unit: it may have been finished meanwhile."""

    def _still_open(self, unit: Unit) -> bool:
        return True


class ClaimsNothing(Workplace):
    """Takes the first unit that is not finished."""

    def take(self, units: Any, keys: Any, begin_at: float = 0.0, busy: Any = ()) -> Unit | None:
        return units[0]


class WaitsForTheDead(Workplace):
    """Never takes over what a dead worker has claimed."""

    def take(self, units: Any, keys: Any, begin_at: float = 0.0, busy: Any = ()) -> Unit | None:
        free = [u for u in units if not any(k.startswith(f"{self._claim(u)}.claim") for k in keys)]
        return super().take(free, keys, begin_at, busy) if free else None


class TrustsNobody(Workplace):
    """Takes every worker that it does not know for dead."""

    def take(self, units: Any, keys: Any, begin_at: float = 0.0, busy: Any = ()) -> Unit | None:
        self.watch.alive = lambda owner: False
        return super().take(units, keys, begin_at, busy)


@pytest.mark.parametrize(
    ("wrong", "deaths", "said"),
    [
        (LooksOnce, 0, "measured twice"),
        (ClaimsNothing, 0, "measured twice"),
        (TrustsNobody, 0, "measured twice"),
        (WaitsForTheDead, 1, "waits for ever"),
    ],
)
@pytest.mark.parametrize("plain", [True, False])
def test_a_wrong_protocol_is_found(
    wrong: type[Workplace], deaths: int, said: str, plain: bool
) -> None:
    model = Model(2, 2, deaths, place=wrong, plain=plain)
    with pytest.raises(AssertionError, match=said):
        model.explore(right(model), ends=True)
