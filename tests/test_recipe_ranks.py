"""Ranks of recipes by hand, against formulas by loops, and by simulation with known truth."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from benchmarks import rank_coverage as coverage

from bench.stats import rank_sets, recipe_rank_sets
from bench.stats.recipes import recipe_mean, recipe_significance


def recipes(seed: int, seed_sd: float, seeds: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    values = np.array([0.3, 0.3, 0.5])[:, None] + rng.normal(0, seed_sd, (3, seeds))
    values = values[..., None] + rng.normal(0, 0.1, 400) + rng.normal(0, 0.03, (3, seeds, 400))
    return values, np.ones(values.shape, dtype=bool)


def test_recipes_far_apart_are_told_apart_and_seeds_count() -> None:
    values, kept = recipes(1, 0.005)
    assert recipe_rank_sets(values, kept, 0).tolist() == [[1, 2], [1, 2], [3, 3]]
    noisy, _ = recipes(1, 0.2)
    # these very weights differ far beyond the images' error; their recipes are not known to
    assert (
        rank_sets(noisy[:, 0], kept[:, 0], 0)[:, 0] == rank_sets(noisy[:, 0], kept[:, 0], 0)[:, 1]
    ).all()
    assert recipe_rank_sets(noisy, kept, 0).tolist() == [[1, 3]] * 3


def test_padding_and_what_no_seed_keeps_change_nothing() -> None:
    values, kept = recipes(2, 0.01)
    plain = recipe_significance(values, kept, 7)
    padded = np.concatenate([values, np.full((3, 2, 400), np.nan)], axis=1)
    for pad in (False, True):
        mask = np.concatenate([kept, np.full((3, 2, 400), pad)], axis=1)
        found = recipe_significance(padded, mask, 7)
        assert (found.signs == plain.signs).all()
        assert (found.critical, found.gap) == pytest.approx((plain.critical, plain.gap))
    # an id that one seed of a model does not keep is no common id
    holes, absent = kept.copy(), kept.copy()
    holes[0, 1, :100] = False
    absent[0, :, :100] = False
    some = recipe_significance(np.where(holes, values, np.nan), holes, 7)
    none = recipe_significance(np.where(absent, values, 99.0), absent, 7)
    assert (some.critical, some.gap) == pytest.approx((none.critical, none.gap))
    assert some.gap != pytest.approx(plain.gap, rel=1e-6)


def test_two_seeds_have_no_recipe_rank() -> None:
    values, kept = recipes(2, 0.01, seeds=3)
    values[1, 2] = np.nan
    with pytest.raises(ValueError, match=r"3 training seeds .* found 2 in model 1"):
        recipe_rank_sets(values, kept, 0)
    with pytest.raises(ValueError, match=r"\(M, S, n\)"):
        recipe_rank_sets(values[0], kept[0], 0)


def test_two_recipes_against_the_formula() -> None:
    """D, Vimg, v and H^2 computed by loops; kappa stays within the draws' law."""
    values, kept = recipes(4, 0.02)
    values, kept = values[[0, 2]], kept[[0, 2]]
    found = recipe_significance(values, kept, 1)
    by_id = values[0].mean(axis=0) - values[1].mean(axis=0)
    image = by_id.var() / 400
    v = [values[m].mean(axis=1).var(ddof=1) / 5 for m in (0, 1)]
    q = scipy.stats.t.isf((1 - 0.95 ** (1 / 2)) / 2, 4)
    half = np.sqrt(1.96**2 * image + q**2 * (v[0] + v[1]))
    rng = np.random.default_rng(0)
    t = rng.standard_t(4, size=(200_000, 2)) * np.sqrt(v)
    errors = np.sqrt(image) * rng.normal(size=200_000) + t[:, 0] - t[:, 1]
    assert found.gap == pytest.approx(np.quantile(np.abs(errors), 0.95), rel=0.06)
    assert found.critical == pytest.approx(found.gap / half, rel=0.01)


def test_smallest_gap_between_recipes() -> None:
    """Eight models at seed SD .01: .087 with three seeds, .031 with five, .017 with ten."""
    for seeds, expected in ((3, 0.087), (5, 0.031), (10, 0.017)):
        gaps = []
        for number in range(12):
            rng = np.random.default_rng(number)
            values = rng.normal(0, 0.01, (8, seeds, 1)) + rng.normal(0, 0.06, (8, 1, 1000))
            kept = np.ones((8, seeds, 1000), dtype=bool)
            gaps.append(recipe_significance(values, kept, number).gap)
        assert np.mean(gaps) == pytest.approx(expected, rel=0.2)


def test_interval_of_one_recipe_by_hand() -> None:
    # seed means 1, 2, 3; ids 1 and 3 above and below: Vimg = (1 + 1) / 4, s^2 / S = 1 / 3
    values = np.array([[0.0, 2.0, 9.0], [1.0, 3.0, np.nan], [2.0, 4.0, 9.0], [np.nan] * 3])
    mean, low, high = recipe_mean(values, np.ones((4, 3)))
    half = np.sqrt(1.959964**2 * 0.5 + 4.302653**2 / 3)
    assert (mean, low, high) == pytest.approx((2.0, 2 - half, 2 + half))
    assert np.isnan(recipe_mean(values[:2], np.ones((2, 3)))[1:]).all()
    assert np.isnan(recipe_mean(values[3:], np.ones((1, 3)))).all()


def test_few_boards_have_a_wrong_claim() -> None:
    """One seed's weights make a wrong claim about the recipes on nearly every board."""
    found = coverage.recipes(8, 3, 150, "equal", boards=80, seed=12)
    assert found.right >= 0.88 * found.boards
    assert found.right_alone <= 0.1 * found.boards


@pytest.mark.slow
@pytest.mark.parametrize("models", [8, 16])
@pytest.mark.parametrize("seeds", [3, 5])
def test_recipe_boards_are_right(models: int, seeds: int) -> None:
    for kind in ("equal", "unequal"):
        found = coverage.recipes(models, seeds, 200, kind, boards=300, seed=seeds)
        assert not coverage.below(found.right, found.boards, 0.94)


def test_without_draws_no_recipe_claim_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.stats import recipes

    rng = np.random.default_rng(4)
    levels = np.linspace(0.3, 0.6, 8)[:, None] + rng.normal(0, 0.01, (8, 4))
    values = levels[..., None] + rng.normal(0, 0.05, 300) + rng.normal(0, 0.03, (8, 4, 300))
    drawn = recipe_significance(values, np.ones(values.shape), 1)
    monkeypatch.setattr(recipes, "MAX_DRAWN", 0)
    closed = recipe_significance(values, np.ones(values.shape), 1)
    assert (closed.signs == -closed.signs.T).all()
    assert (np.abs(closed.signs) <= np.abs(drawn.signs)).all()
    assert 0 < np.abs(closed.signs).sum() < 56
    assert closed.gap > drawn.gap
