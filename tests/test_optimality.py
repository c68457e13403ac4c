"""How near an attack comes to the best known distances, by hand and by integration."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.integrate

from bench.stats.optimality import optimality


def test_by_hand() -> None:
    # cut at D = 4: d 1, 3, 4, 4 and d* 1, 2, 4, 3: 1 - (3 - 2.5) / (4 - 2.5)
    found = optimality([1.0, 3.0, 9.0, 4.0, 5.0], [1.0, 2.0, 4.0, 3.0, 1.0], [1, 1, 1, 1, 0])
    assert found.n == 4
    assert found.score.mean == pytest.approx(2 / 3)
    assert found.longer.mean == 0.75
    assert found.excess.mean == pytest.approx((0 + 0.5 + 1.25 + 1 / 3) / 4)
    for interval in (found.score, found.longer, found.excess):
        assert interval.low < interval.mean < interval.high


def test_score_is_the_area_between_the_curves() -> None:
    """AttackBench's areas under robust accuracy over budget, integrated numerically."""
    rng = np.random.default_rng(0)
    best = rng.gamma(3.0, 0.2, 300)
    d = best * (1 + rng.exponential(0.1, 300))
    budgets = np.linspace(0, best.max(), 20_001)
    areas = [
        scipy.integrate.trapezoid(
            1 - np.searchsorted(np.sort(x), budgets, side="right") / 300, budgets
        )
        for x in (d, best)
    ]
    expected = 1 - (areas[0] - areas[1]) / (best.max() - areas[1])
    assert optimality(d, best, np.ones(300)).score.mean == pytest.approx(expected, abs=1e-4)


def test_the_best_is_perfect_and_a_better_find_is_the_best() -> None:
    best = np.linspace(1, 2, 100)
    same = optimality(best, best, np.ones(100))
    assert (same.score, same.longer.mean, same.excess) == ((1, 1, 1), 0, (0, 0, 0))
    better = optimality(best / 2, best, np.ones(100))
    assert (better.score.mean, better.longer.mean, better.excess.mean) == (1, 0, 0)
    # exactly 1 % is not longer
    assert optimality(best * 1.0099, best, np.ones(100)).longer.mean == 0
    assert optimality(best * 1.0101, best, np.ones(100)).longer.mean == 1


def test_unfooled_samples() -> None:
    found = optimality([np.inf, np.nan, 1.0, np.inf], [2.0, 2.0, 1.0, np.inf], np.ones(4))
    # cut at D = 2: d 2, 2, 1, 2, and so d*: no area between the curves
    assert found.score.mean == 1
    assert found.longer.mean == 0.5
    assert found.excess.mean == np.inf
    assert np.isnan(found.excess[1:]).all()
    # where no attack fools, nobody was longer
    alone = optimality([np.inf, 1.0], [np.inf, 1.0], np.ones(2))
    assert (alone.longer.mean, alone.excess.mean) == (0, 0)


def test_what_does_not_exist_is_nan() -> None:
    # no witness ran on the second sample
    assert optimality([1.0, 3.0, 2.0], [1.0, np.nan, 2.0], np.ones(3)).n == 2
    nobody = optimality([1.0], [1.0], [False])
    assert nobody.n == 0
    assert np.isnan([*nobody.score, *nobody.longer, *nobody.excess]).all()
    level = optimality([2.0, 3.0], [2.0, 2.0], np.ones(2))
    assert np.isnan(level.score).all()
    assert level.excess.mean == 0.25
    one = optimality([1.5], [1.0], np.ones(1))
    assert np.isnan(one.excess[1:]).all()
    with pytest.raises(ValueError, match="negative"):
        optimality([-1.0], [1.0], [True])
    with pytest.raises(ValueError, match="three arrays"):
        optimality([1.0, 2.0], [1.0], [True])
