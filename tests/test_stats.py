"""Statistics against hand-worked numbers, closed forms and a synthetic set with known order."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from benchmarks import rank_coverage as coverage

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


def test_one_sample_has_no_interval() -> None:
    mean, *bounds = stats.mean_interval([5.0, 7.0], [True, False], seed=0)
    assert mean == 5.0
    assert np.isnan(bounds).all()
    assert stats.is_few(1)


@pytest.mark.parametrize("n", [8, stats.FEW])
def test_few_samples_make_the_bootstrap_too_sure(n: int) -> None:
    """The percentile bootstrap of a normal mean is +- 1.96 s (n - 1)^.5 / n: Student tells."""
    covers = scipy.stats.t.cdf(1.96 * np.sqrt((n - 1) / n), n - 1) * 2 - 1
    held = coverage.means(n, False, draws=1500, seed=3)
    assert held == pytest.approx(covers, abs=0.025)
    assert (covers < 0.94) == stats.is_few(n) == (n == 8)


@pytest.mark.parametrize(("right", "of"), [(8, 10), (0, 10), (1000, 1000), (3, 7), (1, 1)])
def test_proportions_solve_wilsons_equation(right: int, of: int) -> None:
    share, *bounds = stats.proportion_interval(right, of)
    assert share == right / of
    assert 0 <= bounds[0] <= share <= bounds[1] <= 1
    for bound in bounds:  # |share - p| = z sqrt(p (1 - p) / n)
        error = 1.959964 * np.sqrt(bound * (1 - bound) / of)
        assert abs(share - bound) == pytest.approx(error, abs=1e-6)


def test_no_trials_no_proportion() -> None:
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


def test_interval_of_the_median_covers_exactly_or_is_absent() -> None:
    for n in range(1, 400):
        place = stats.median_place(n)

        def covers(lowest: int, n: int = n) -> float:  # the number below the median is binomial
            return 1 - 2 * float(scipy.stats.binom.cdf(lowest - 1, n, 0.5))

        assert (place == 0) == (n < 6)
        assert place == 0 or covers(place) >= 0.95
        assert covers(place + 1) < 0.95
    every = np.ones(6, dtype=bool)
    assert stats.median_norm_interval(np.arange(1.0, 7.0), every, every) == (3.5, 1.0, 6.0)
    middle, *bounds = stats.median_norm_interval(np.arange(1.0, 6.0), every[:5], every[:5])
    assert middle == 3.0
    assert np.isnan(bounds).all()


def test_models_under_a_budget_are_compared_on_common_ids() -> None:
    values = np.array([[1.0, 2.0, 3.0, np.nan], [5.0, 6.0, 7.0, 8.0]])
    kept = np.array([[True, True, True, True], [False, True, True, True]])
    (first, second), n = stats.common_means(values, kept, seed=0)
    assert (first.mean, second.mean, n) == (2.5, 6.5, 2)
    assert stats.common_means(np.zeros((0, 4)), np.zeros((0, 4)), seed=0) == ([], 0)


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
