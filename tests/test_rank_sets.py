"""Rank sets by hand, against other people's formulas, and by simulation with known truth."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from benchmarks import rank_coverage as coverage

from bench.stats import rank_sets, recipe_rank_sets
from bench.stats import simultaneous as together
from bench.stats.quantities import simultaneous_differences
from bench.stats.stepdown import FEWEST_IDS, bars, normal_score, stepdown


def board(levels: list[float], n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Models at known levels whose samples share a difficulty, as real models' do."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(0, 0.1, size=n)
    values = np.array(levels)[:, None] + shared + rng.normal(0, 0.02, size=(len(levels), n))
    kept = rng.random((len(levels), n)) < 0.9
    return np.where(kept, values, np.nan), kept


def test_known_order_and_ties_are_found() -> None:
    # the shared spread (.1) hides a step of .02 unless models are compared in pairs
    values, kept = board([0.34, 0.30, 0.32, 0.30, 0.34, 0.34], 1000, seed=5)
    ranks = rank_sets(values, kept, 2024)
    assert ranks.tolist() == [[4, 6], [1, 2], [3, 3], [1, 2], [4, 6], [4, 6]]
    found = together.significance(values, kept, 2024)
    assert (found.signs == -found.signs.T).all()
    assert (found.rank_sets == ranks).all()


@pytest.mark.parametrize("models", [0, 1, 2])
def test_boards_of_few_models(models: int) -> None:
    every = [[1, models]] * models
    found = rank_sets(np.zeros((models, 40)), np.ones((models, 40)), 0)
    assert (found.shape, found.tolist()) == ((models, 2), every)
    recipe = recipe_rank_sets(np.zeros((models, 3, 40)), np.ones((models, 3, 40)), 0)
    assert (recipe.shape, recipe.tolist()) == ((models, 2), every)


def test_identical_models_tie_and_a_constant_difference_is_one() -> None:
    base = np.random.default_rng(0).random(300)
    values = np.stack([base, base + 0.001, base])
    found = together.significance(values, np.ones((3, 300)), 0)
    assert found.rank_sets.tolist() == [[1, 2], [3, 3], [1, 2]]
    recipe = np.repeat(values[:, None], 3, axis=1)
    assert recipe_rank_sets(recipe, np.ones((3, 3, 300)), 0).tolist() == [[1, 2], [3, 3], [1, 2]]
    assert rank_sets(values[:, :0], np.ones((3, 0)), 0).tolist() == [[1, 3]] * 3


def test_only_common_ids_count_and_few_claim_nothing() -> None:
    rng = np.random.default_rng(0)
    values = np.stack([np.zeros(200), rng.normal(0, 0.01, 200)])
    values[1, 100:] = 5.0
    kept = np.ones((2, 200), dtype=bool)
    assert rank_sets(values, kept, 0).tolist() == [[1, 1], [2, 2]]
    kept[0, 100:] = False
    assert rank_sets(values, kept, 0).tolist() == [[1, 2], [1, 2]]
    far = np.stack([np.zeros(200), rng.normal(5, 0.01, 200)])
    for common in (FEWEST_IDS - 1, FEWEST_IDS):
        kept = np.ones((2, 200), dtype=bool)
        kept[0, common:] = False
        expected = [[1, 1], [2, 2]] if common == FEWEST_IDS else [[1, 2], [1, 2]]
        assert rank_sets(far, kept, 0).tolist() == expected
    kept = np.zeros((2, 200), dtype=bool)
    kept[0, :100] = kept[1, 100:] = True
    found = together.significance(far, kept, 0)
    assert np.isnan([found.critical, found.gap, *found.seed_sd]).all()


def test_what_is_kept_but_no_number_takes_no_part() -> None:
    values, kept = board([0.3, 0.3, 0.4], 300, seed=1)
    assert (rank_sets(values, np.ones_like(kept), 3) == rank_sets(values, kept, 3)).all()


@pytest.mark.parametrize("shape", [(5,), (2, 5)])
def test_shapes_are_checked(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected values and kept of one shape \(M, n\)"):
        rank_sets(np.zeros(shape), np.ones((3, 5)), 0)


def test_two_models_are_a_paired_t_test() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(size=(2, 60))
    found = together.significance(values, np.ones((2, 60)), 1)
    # one pair: the critical value is the two-sided normal one, up to the draws
    assert found.critical == pytest.approx(1.96, abs=0.1)
    error = scipy.stats.sem(values[0] - values[1])
    assert found.gap == pytest.approx(bars(found.critical, 60)[60] * error)
    pairs = together.prepare(values, np.ones((2, 60))).pairs(slice(0, 1), slice(1, 2))
    outside = scipy.stats.ttest_rel(values[0], values[1])
    assert pairs.statistic().item() == pytest.approx(abs(outside.statistic))
    p = 2 * scipy.stats.norm.sf(normal_score(pairs.statistic(), pairs.common))
    assert p.item() == pytest.approx(outside.pvalue)
    assert scipy.stats.t.sf(bars(2.5, 60)[60], 59) == pytest.approx(scipy.stats.norm.sf(2.5))


def test_all_pairs_of_equal_models_are_tukeys_range() -> None:
    # independent models of one variance: max |t| over all pairs is the studentised range / sqrt 2
    values = np.random.default_rng(3).normal(size=(8, 2000))
    found = together.significance(values, np.ones((8, 2000)), 4)
    range_point = scipy.stats.studentized_range.ppf(0.95, 8, 1e5) / np.sqrt(2)
    assert found.critical == pytest.approx(range_point, abs=0.08)


def test_stepdown_by_hand() -> None:
    # 19 draws: the 95 % point is the largest. Comparison 2 leaves at 5, then 1 at 3, then none
    draws = np.zeros((3, 19))
    draws[0, 0], draws[1, 1], draws[2, 2] = 2.0, -3.0, 5.0
    statistic = np.array([1.0, 4.0, 6.0])
    found = stepdown(statistic, lambda chosen: draws[chosen])
    assert found == (5.0, 2.0)
    assert stepdown(np.array([1.0, 4.0, 5.0]), lambda chosen: draws[chosen]) == (5.0, 5.0)
    assert np.isnan(stepdown(np.empty(0), lambda chosen: draws[chosen])).all()


def test_stepdown_does_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    values, kept = board(list(np.linspace(0.3, 0.33, 30)), 300, seed=2)
    whole = together.significance(values, kept, 3)
    monkeypatch.setattr("bench.stats.stepdown._BLOCK", 7)
    monkeypatch.setattr(together, "_BLOCK", 11)
    parts = together.significance(values, kept, 3)
    assert (whole.signs == parts.signs).all()
    assert parts.critical == pytest.approx(whole.critical, abs=1e-3)
    np.testing.assert_allclose([parts.gap, *parts.seed_sd], [whole.gap, *whole.seed_sd], atol=1e-5)


def test_very_many_models_get_the_wider_closed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    values, kept = board(list(np.linspace(0.3, 0.4, 20)), 400, seed=6)
    drawn = together.significance(values, kept, 3)
    monkeypatch.setattr(together, "MAX_DRAWN", 0)
    monkeypatch.setattr(together, "_BLOCK", 6)
    closed = together.significance(values, kept, 3)
    assert closed.critical == pytest.approx(scipy.stats.norm.isf(0.05 / 2 / 190))
    assert drawn.critical < closed.critical
    assert ((closed.signs == drawn.signs) | (closed.signs == 0)).all()
    assert (closed.signs != 0).mean() > 0.8
    assert (closed.signs == -closed.signs.T).all()


def test_a_claim_falls_at_its_seed_sd() -> None:
    # D = .03, z = 3, Vimg = .006^2: (.01^2 - .006^2) / 2 = .008^2 / 2
    assert together.surviving_seed_sd(0.03, 3.0, 0.006**2) == pytest.approx(0.008 / np.sqrt(2))
    assert np.isnan(together.surviving_seed_sd(0.01, 3.0, 0.006**2))
    values, kept = board([0.30, 0.302, 0.5], 500, seed=1)
    found = together.significance(values, kept, 0)
    assert found.seed_sd[0] == min(found.seed_sd)
    assert found.seed_sd[2] > 0.03


def test_quantities_of_two_models_are_read_together() -> None:
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(12, 400))
    rows[0] += 1.0
    kept = rng.random((12, 400)) < 0.9
    kept[11, 5:] = False
    intervals, apart = simultaneous_differences(rows, kept, 0)
    assert apart.tolist() == [True] + [False] * 11
    for row, mask, found in zip(rows[:11], kept[:11], intervals[:11], strict=True):
        mean, error = row[mask].mean(), scipy.stats.sem(row[mask])
        assert found.mean == pytest.approx(mean)
        # 11 independent quantities: Sidak's quantile, up to the draws
        sidak = scipy.stats.norm.isf((1 - 0.95 ** (1 / 11)) / 2)
        assert (found.high - mean) / error == pytest.approx(sidak, abs=0.12)
    assert np.isnan(intervals[11][1:]).all()
    assert simultaneous_differences(np.zeros((0, 4)), np.zeros((0, 4)), 0)[0] == []


def test_few_boards_have_a_wrong_claim() -> None:
    """A rule without correction fails here on more than half of the boards."""
    found = coverage.checkpoints(8, 150, "equal", False, boards=150, seed=11)
    assert found.right >= 0.88 * found.boards
    assert found.right_alone <= 0.6 * found.boards


CHECKPOINTS = [(8, 600), (16, 600), (92, 100)]


@pytest.mark.slow
@pytest.mark.parametrize(("models", "boards"), CHECKPOINTS)
@pytest.mark.parametrize("kind", ["equal", "unequal"])
def test_checkpoint_boards_are_right(models: int, boards: int, kind: str) -> None:
    skewed = kind == "unequal"
    found = coverage.checkpoints(models, 200, kind, skewed, boards, seed=models)
    assert not coverage.below(found.right, found.boards, 0.94)
    # wrong without correction on 58 % of boards of 8 equal models, 94 % of 16
    wrong = 1 - found.right_alone / found.boards
    assert wrong > ({8: 0.5, 16: 0.88, 92: 0.98} if kind == "equal" else {8: 0.15}).get(models, 0.5)
