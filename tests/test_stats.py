"""Statistics against hand-worked numbers, closed forms and a synthetic set with known order."""

from __future__ import annotations

import numpy as np
import pytest

from bench.stats import bootstrap as resampling
from bench.stats import intervals as stats


def test_counts_resample_the_ids() -> None:
    counts = resampling.resample_counts(50, seed=3)
    assert counts.shape == (2000, 50)
    assert (counts.sum(axis=1) == 50).all()
    # multinomial: mean 1, variance 1 - 1/n
    assert counts.mean() == pytest.approx(1.0)
    assert counts.var() == pytest.approx(1 - 1 / 50, rel=0.03)


def test_counts_depend_on_the_seed_only() -> None:
    resampling.resample_counts.cache_clear()
    first = resampling.resample_counts(20, seed=1, draws=50).copy()
    resampling.resample_counts.cache_clear()
    assert (resampling.resample_counts(20, seed=1, draws=50) == first).all()
    assert (resampling.resample_counts(20, seed=2, draws=50) != first).any()


def test_resampled_means_by_hand() -> None:
    counts = np.array([[2.0, 1.0, 0.0], [0.0, 0.0, 3.0], [1.0, 1.0, 1.0]])
    values = np.array([[1.0, 4.0, np.nan], [10.0, 40.0, 0.0]])
    kept = np.array([True, True, False])
    means, resampled = resampling.resampled_means(values, kept, counts)
    assert means.tolist() == [2.5, 25.0]
    # (2*1 + 4) / 3; no kept id drawn; (1 + 4) / 2
    np.testing.assert_array_equal(resampled, [[2.0, np.nan, 2.5], [20.0, np.nan, 25.0]])


def test_mean_interval_is_the_classical_one_for_many_samples() -> None:
    values = np.random.default_rng(0).normal(size=2000)
    mean, low, high = stats.mean_interval(values, np.ones(2000, dtype=bool), seed=1)
    error = values.std() / np.sqrt(2000)
    assert mean == pytest.approx(values.mean())
    assert (low, high) == pytest.approx((mean - 1.96 * error, mean + 1.96 * error), abs=0.1 * error)


def test_mean_interval_leaves_out_what_is_missing() -> None:
    values = [1.0, np.nan, 3.0, 100.0]
    assert stats.mean_interval(values, [True, True, True, False], seed=0).mean == 2.0
    assert np.isnan(stats.mean_interval(values, [False] * 4, seed=0)).all()
    assert stats.mean_interval([5.0], [True], seed=0) == (5.0, 5.0, 5.0)


def test_hfx_is_0_like_the_images_and_1_like_white_noise() -> None:
    image = np.array([0.2, 0.3, 0.1, 0.2])
    kept = np.ones(4, dtype=bool)
    assert stats.hfx_interval(image, image, kept, white=0.77, seed=0).mean == pytest.approx(0)
    white = np.full(4, 0.77)
    assert stats.hfx_interval(white, image, kept, white=0.77, seed=0) == pytest.approx((1, 1, 1))
    # means .5 and .2, white .8: (.5 - .2) / (.8 - .2)
    half = stats.hfx_interval([0.4, 0.6, 0.5, 0.5], image, kept, white=0.8, seed=0)
    assert half.mean == pytest.approx(0.5)
    assert half.low < 0.5 < half.high


def test_proportions_against_wilson_by_hand() -> None:
    # 8 of 10: centre (.8 + .19207) / 1.38415, half-width 1.96 / 1.38415 * sqrt(.016 + .0096036)
    assert stats.proportion_interval(8, 10) == pytest.approx((0.8, 0.4902, 0.9433), abs=2e-4)
    assert stats.proportion_interval(0, 10)[:2] == (0, 0)
    mean, low, high = stats.proportion_interval(1000, 1000)
    assert (mean, high) == (1, 1)
    assert low == pytest.approx(1 / (1 + 3.8415 / 1000), abs=1e-6)
    assert np.isnan(stats.proportion_interval(0, 0)).all()


def test_median_norm_takes_the_unfooled_as_infinite() -> None:
    norms = [1.0, 2.0, 3.0, 4.0, 9.0]
    every = [True] * 5
    assert stats.median_norm(norms, every, every) == 3.0
    assert stats.median_norm(norms[:4], every[:4], every[:4]) == 2.5
    assert stats.median_norm(norms, [True, True, False, True, False], every) == 4.0
    assert stats.median_norm(norms, [True, False, False, True, False], every) == np.inf
    assert stats.median_norm(norms, every, [True, False, False, False, False]) == 1.0
    assert np.isnan(stats.median_norm(norms, every, [False] * 5))


def test_interval_of_the_median_by_hand() -> None:
    # n = 100: ranks 50 - 9.8 = 40.2 -> 40 and 50 + 9.8 -> 60 + 1
    every = np.ones(100, dtype=bool)
    assert stats.median_norm_interval(np.arange(1.0, 101.0), every, every) == (50.5, 40.0, 61.0)
    fooled = np.arange(100) < 55
    assert stats.median_norm_interval(np.arange(1.0, 101.0), fooled, every) == (50.5, 40.0, np.inf)


def test_a_paired_difference_uses_the_common_kept_ids() -> None:
    first, second = [1.0, 2.0, 3.0, np.nan], [0.5, 1.5, 9.0, 1.0]
    result, n = stats.paired_difference(first, [1, 1, 1, 1], second, [1, 1, 0, 1], seed=0)
    assert (result, n) == ((0.5, 0.5, 0.5), 2)
    result, n = stats.paired_difference(first, [1, 0, 0, 0], second, [0, 1, 1, 1], seed=0)
    assert n == 0
    assert np.isnan(result).all()


def test_robust_accuracy_by_hand() -> None:
    norms = [0.5, 1.0, np.nan, np.nan]
    fooled = [True, True, False, False]
    correct = [True, True, True, False]
    curve = stats.robust_accuracy(norms, fooled, correct, np.array([0.0, 0.5, 1.0, 99.0]))
    assert curve.tolist() == [0.75, 0.5, 0.25, 0.25]


def test_float32_counts_give_exact_sums_and_the_same_means() -> None:
    rng = np.random.default_rng(4)
    values, kept = rng.random((3, 1000)), rng.random((3, 1000)) < 0.8
    counts = resampling.resample_counts(1000, 7)
    _, wide = resampling.resampled_means(values, kept, counts)
    _, narrow = resampling.resampled_means(values, kept, counts.astype(np.float32))
    assert narrow.dtype == np.float32
    np.testing.assert_allclose(narrow, wide, atol=2e-5)
    # exact, so the order of summation does not show
    order = rng.permutation(1000)
    again = resampling.resampled_means(
        values[:, order], kept[:, order], counts[:, order].astype(np.float32)
    )[1]
    assert (again == narrow).all()
