"""Verification: forged rows are found, honest ones pass, and the stated power is the real one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from bench.metrics import METRICS
from bench.results import schema
from bench.submissions.verify.judge import (
    COMPARED,
    TOLERANCES,
    Look,
    Values,
    agree,
    choose,
    conclude,
    distances,
    power,
    power_statement,
    verify_rows,
)

ROWS = [(attack, i) for attack in ("a", "b", "c", "d", "e") for i in range(1000)]
FILE = "0" * 64


def values(rfc: float = 0.4, norm: float = 0.5, success: bool = True) -> Values:
    status = "ok" if success else "not_fooled"
    return {
        "status": status,
        "success": success,
        "label": 3,
        "clean_pred": 3,
        "l2": norm,
        "rfc": rfc,
    }


class Machine:
    """An honest machine: every look gives the truth, with some noise on some rows."""

    def __init__(self, noise: Mapping[tuple[str, int], float] | None = None) -> None:
        self.noise = dict(noise or {})
        self.looks: list[str] = []

    def __call__(self, attack: str, ids: Sequence[int], how: Look) -> dict[int, Values]:
        self.looks.append(how)
        turn = {"together": 1, "as measured": 2, "alone": 3}[how]
        return {i: values(0.4 + turn * self.noise.get((attack, i), 0.0)) for i in ids}


def forged(share: float, seed: int = 0) -> dict[tuple[str, int], Values]:
    """The file's rows, a share of them with an RFC that the forger likes better."""
    rng = np.random.default_rng(seed)
    bad = set(rng.choice(len(ROWS), size=round(share * len(ROWS)), replace=False).tolist())
    return {key: values(0.3 if n in bad else 0.4) for n, key in enumerate(ROWS)}


def contradicted(stated: Mapping[tuple[str, int], Values], count: int, secret: str) -> int:
    verdicts = verify_rows(stated, choose(ROWS, count, FILE, secret), Machine())
    return sum(v.outcome == "contradicted" for v in verdicts)


@pytest.mark.parametrize(("share", "count"), [(0.25, 16), (0.01, 300)])
def test_a_forger_is_found_as_often_as_stated(share: float, count: int) -> None:
    stated = forged(share)
    found = np.mean([contradicted(stated, count, f"secret {i}") > 0 for i in range(200)])
    stated_power = power(len(ROWS), count, share)
    assert stated_power > 0.94
    # 200 trials of a probability above .94: standard error below .017
    assert abs(found - stated_power) < 0.05


def test_an_honest_file_is_reproduced() -> None:
    stated = {key: values() for key in ROWS}
    verdicts = verify_rows(stated, choose(ROWS, 300, FILE, "s"), Machine())
    assert len(verdicts) == 300
    assert {v.outcome for v in verdicts} == {"reproduced"}


def test_power_against_counting() -> None:
    # 6 rows, 2 forged, 3 looked at: 1 - C(4,3) / C(6,3) = 1 - 4/20, by enumeration
    hits = [bool({0, 1} & set(chosen)) for chosen in itertools.combinations(range(6), 3)]
    assert power(6, 3, 2 / 6) == pytest.approx(np.mean(hits)) == pytest.approx(0.8)
    assert power(5000, 16, 0.25) == pytest.approx(1 - 0.75**16, abs=1e-3)
    assert power(5000, 0, 0.5) == 0
    assert power(5000, 5000, 0.0002) == 1
    assert power(5000, 16, 0) == 0
    assert "1% of the rows is caught with probability 0.1" in power_statement(5000, 16)


def test_the_choice_needs_file_and_secret() -> None:
    first = choose(ROWS, 16, FILE, "secret")
    assert first == choose(ROWS, 16, FILE, "secret")
    assert len(set(first)) == 16
    assert first != choose(ROWS, 16, FILE, "another")
    assert first != choose(ROWS, 16, "1" * 64, "secret")
    assert choose(ROWS[:5], 16, FILE, "s") == ROWS[:5]


def test_every_row_is_chosen_equally_often() -> None:
    rows = ROWS[:20]
    counts = dict.fromkeys(rows, 0)
    for i in range(2000):
        for row in choose(rows, 5, FILE, str(i)):
            counts[row] += 1
    # binomial(2000, 1/4): mean 500, standard deviation 19.4
    assert all(abs(count - 500) < 5 * 19.4 for count in counts.values())


def test_a_row_that_needs_the_makers_batches_is_reproduced() -> None:
    key = ROWS[0]

    class Batchy(Machine):
        def __call__(self, attack: str, ids: Sequence[int], how: Look) -> dict[int, Values]:
            self.looks.append(how)
            return {i: values(0.4 if how == "as measured" else 0.45) for i in ids}

    machine = Batchy()
    (verdict,) = verify_rows({key: values(0.4)}, [key], machine)
    assert verdict.outcome == "reproduced"
    assert machine.looks == ["together", "as measured", "alone"]


def test_a_row_that_wanders_on_this_machine_too_is_unsettled() -> None:
    key = ROWS[0]
    # looks .43, .46, .49: they wander by .06, so .12 off the nearest may be honest, and no more
    (verdict,) = verify_rows({key: values(0.32)}, [key], Machine({key: 0.03}))
    assert verdict.outcome == "unsettled"
    (verdict,) = verify_rows({key: values(0.3)}, [key], Machine({key: 0.03}))
    assert verdict.outcome == "contradicted"
    (verdict,) = verify_rows({key: values(0.32)}, [key], Machine())
    assert verdict.outcome == "contradicted"
    text = str(verdict)
    assert "the file says ok, l2 0.5, rfc 0.32; found ok, l2 0.5, rfc 0.4; outside" in text


def test_what_wanders_excuses_no_other_column() -> None:
    """An attack whose HFE wanders from batch to batch does not make a wrong RFC honest."""
    key = ROWS[0]

    def measure(attack: str, ids: Sequence[int], how: Look) -> dict[int, Values]:
        return {i: {**values(), "hfe": {"together": 0.1, "alone": 0.9}.get(how, 0.5)} for i in ids}

    (verdict,) = verify_rows({key: {**values(), "hfe": 0.3}}, [key], measure)
    assert verdict.outcome == "unsettled"
    (verdict,) = verify_rows({key: {**values(0.3), "hfe": 0.1}}, [key], measure)
    assert verdict.outcome == "contradicted"


def test_a_row_that_is_off_a_little_is_unsettled() -> None:
    key = ROWS[0]
    (verdict,) = verify_rows({key: values(0.402)}, [key], Machine())
    assert verdict.outcome == "unsettled"
    (verdict,) = verify_rows({key: values(0.412)}, [key], Machine())
    assert verdict.outcome == "contradicted"


def test_the_verdict_allows_what_an_honest_file_may_have() -> None:
    assert conclude(16, 0, 0) == "reproduced"
    assert conclude(16, 0, 1) == "contradicted"
    # binomial(16, .01): 2 or more .011, 3 or more .0005; binomial(300, .01): 11 or more .0003
    assert conclude(16, 2, 0) == "reproduced"
    assert conclude(16, 3, 0) == "contradicted"
    assert conclude(300, 8, 0) == "reproduced"
    assert conclude(300, 11, 0) == "contradicted"
    assert conclude(16, 0, 0, others=1) == "contradicted"


@pytest.mark.parametrize(("rows", "unsettled"), [(16, 3), (300, 8), (5000, 70), (5000, 5000)])
def test_the_verdict_against_the_binomial_law(rows: int, unsettled: int) -> None:
    from scipy.stats import binom

    tail = binom.sf(unsettled - 1, rows, 0.01)
    assert (conclude(rows, unsettled, 0) == "contradicted") == (tail < 1e-3)


def test_a_strangers_counts_can_not_hold_the_check() -> None:
    assert conclude(100_000, 100_000, 0) == "contradicted"
    assert conclude(100_000, 0, 0) == "reproduced"


def test_a_forger_who_shifts_every_row_a_little_is_found() -> None:
    stated = {key: values(0.395) for key in ROWS}
    verdicts = verify_rows(stated, choose(ROWS, 16, FILE, "s"), Machine())
    unsettled = sum(v.outcome == "unsettled" for v in verdicts)
    assert conclude(16, unsettled, 0) == "contradicted"


def test_tolerances_are_the_contracts() -> None:
    assert agree(values(0.4), values(0.4009))
    assert not agree(values(0.4), values(0.4011))
    assert agree(values(norm=2.0), values(norm=2.0019))
    assert not agree(values(norm=2.0), values(norm=2.0021))
    assert not agree(values(success=True), values(success=False))
    assert not agree(values(), {**values(), "clean_pred": 4})
    # every column of the table has one, and a profile's differences are summed
    assert set(TOLERANCES) == {metric.name for metric in METRICS}
    assert set(COMPARED) >= set(schema.ROWS.names) - {
        "protocol", "protocol_hash", "attack_hash", "model", "dataset", "attack", "sample_id",
        "seconds",
    }  # fmt: skip
    limit = TOLERANCES["radial_energy"].absolute
    flat = np.full(64, 1 / 64)
    moved = flat + np.where(np.arange(64) < 32, limit, -limit) / 64
    assert agree({"radial_energy": flat}, {"radial_energy": flat + 0.99 * (moved - flat)})
    assert not agree({"radial_energy": flat}, {"radial_energy": flat + 1.01 * (moved - flat)})
    missing = np.where(np.arange(64) == 5, np.nan, flat)
    assert (
        distances({"radial_energy": flat}, {"radial_energy": missing})["radial_energy"] == math.inf
    )
    gone = values(math.nan, math.nan, success=False)
    assert agree(gone, gone)
    assert not agree(gone, values(success=False))
