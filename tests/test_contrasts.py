"""Contrasts with training seeds, by hand and against scipy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from bench.stats.contrasts import at_loss, contrast, factorial_weights, sidak


def test_without_image_error_a_contrast_is_a_paired_t_interval() -> None:
    rng = np.random.default_rng(0)
    means = rng.normal(size=(2, 5))
    values = np.repeat(means[..., None], 40, axis=2)
    found = contrast(values, np.ones(values.shape), [1, -1])
    outside = scipy.stats.ttest_rel(*means).confidence_interval(0.95)
    assert found.interval == pytest.approx((np.mean(means[0] - means[1]), *outside))
    assert (found.seeds, found.ids) == (5, 40)


def test_without_seed_error_a_contrast_is_a_normal_interval_over_images() -> None:
    rng = np.random.default_rng(1)
    values = np.repeat(rng.normal(size=(3, 1, 200)), 4, axis=1)
    found = contrast(values, np.ones(values.shape), [0.5, 0.5, -1])
    each = (values[0, 0] + values[1, 0]) / 2 - values[2, 0]
    half = 1.959964 * each.std() / np.sqrt(200)
    assert found.interval == pytest.approx((each.mean(), each.mean() - half, each.mean() + half))


def test_seeds_and_ids_that_not_all_have_are_left_out() -> None:
    rng = np.random.default_rng(2)
    values, kept = rng.normal(size=(3, 5, 60)), np.ones((3, 5, 60), dtype=bool)
    values[1, 4] = np.nan
    kept[0, 2, :10] = False
    kept[2] = False  # has no weight, so its gaps do not matter
    found = contrast(values, kept, [1, -1, 0])
    plain = contrast(values[:2, :4, 10:], kept[:2, :4, 10:], [1, -1])
    assert found == plain
    assert (found.seeds, found.ids) == (4, 50)
    two = contrast(values[:2, :2], kept[:2, :2], [1, -1])
    assert two.seeds == 2
    assert np.isnan(two.interval[1:]).all()
    assert not np.isnan(two.interval.mean)
    none = contrast(values[:2], np.zeros((2, 5, 60)), [1, -1])
    assert (none.seeds, none.ids) == (0, 0)
    assert np.isnan(none.interval).all()


def test_a_family_of_contrasts_holds_together() -> None:
    assert sidak(1) == pytest.approx(0.05)
    assert (1 - sidak(4)) ** 4 == pytest.approx(0.95)
    values = np.repeat(np.random.default_rng(3).normal(size=(2, 5, 1)), 40, axis=2)
    one, four = (contrast(values, np.ones(values.shape), [1, -1], f).interval for f in (1, 4))
    wider = (four.high - four.low) / (one.high - one.low)
    t = scipy.stats.t(4)
    assert wider == pytest.approx(t.isf(sidak(4) / 2) / t.isf(0.025))
    # 4 contrasts a study, S = 4: together right in at least 94 % of studies
    rng = np.random.default_rng(4)
    wrong = 0
    for _ in range(300):
        values = rng.normal(size=(5, 4, 1)) * 0.02 + rng.normal(size=(5, 1, 100)) * 0.05
        kept = np.ones(values.shape)
        pairs = [np.eye(5)[0] - np.eye(5)[m] for m in range(1, 5)]
        found = [contrast(values, kept, w, family=4).interval for w in pairs]
        wrong += any(f.low > 0 or f.high < 0 for f in found)
    assert scipy.stats.binomtest(wrong, 300, 0.06, alternative="greater").pvalue > 1e-4


def test_factorial_weights_match_models_in_the_other_factors() -> None:
    levels = [
        {"family": "local", "type": "linear"},
        {"family": "local", "type": "relu"},
        {"family": "full", "type": "linear"},
        {"family": "full", "type": "relu"},
        {"family": "connected", "type": "relu"},
    ]
    assert factorial_weights(levels, "family", "local", "full").tolist() == [
        0.5,
        0.5,
        -0.5,
        -0.5,
        0,
    ]
    # the connected net has no linear twin
    assert factorial_weights(levels, "type", "relu", "linear").tolist() == [-0.5, 0.5, -0.5, 0.5, 0]
    assert not factorial_weights(levels, "type", "relu", "deep").any()
    with pytest.raises(ValueError, match="one model of each combination"):
        factorial_weights([*levels, levels[0]], "type", "relu", "linear")


def test_values_at_a_loss_by_hand() -> None:
    losses = [[2.0, 1.0, 0.5], [2.0, 0.4, 0.6], [2.0, 1.5, 1.2], [0.7, 0.6, 0.5], [3.0, 0.8, 0.1]]
    values = np.array([[[0.0, 9.0], [1.0, 8.0], [2.0, 7.0]]] * 5)
    kept = np.ones(values.shape, dtype=bool)
    kept[0, 2, 1] = False
    found, usable = at_loss(losses, values, kept, 0.8)
    # 1 + (1 - .8) / (1 - .5); 1.2 / 1.6; not reached; below from the start; met exactly
    expected = [[1.4, np.nan], [0.75, 8.25], [np.nan] * 2, [np.nan] * 2, [1.0, 8.0]]
    np.testing.assert_allclose(found, expected)
    assert (usable == ~np.isnan(expected)).all()
    gap, _ = at_loss([[2.0, np.nan, 0.5]], values[:1], np.ones((1, 3, 2)), 1.25)
    np.testing.assert_allclose(gap, [[1.0, 8.0]])


@pytest.mark.parametrize(("weights", "family"), [([0, 0], 1), ([1, -1], 0), ([1], 1)])
def test_what_is_no_contrast_is_an_error(weights: list[float], family: int) -> None:
    with pytest.raises(ValueError, match="expected"):
        contrast(np.zeros((2, 3, 4)), np.ones((2, 3, 4)), weights, family)
    with pytest.raises(ValueError, match="expected losses"):
        at_loss(np.zeros((3, 2)), np.zeros((2, 3, 4)), np.ones((2, 3, 4)), 1.0)
