"""Ranks by hand, and on a synthetic set whose order and ties are known."""

from __future__ import annotations

import numpy as np
import pytest

from bench.stats import ranks as ranking
from bench.stats.bootstrap import resample_counts


def test_rank_intervals_and_groups_by_hand() -> None:
    # 0 beats 2 and 3; 1 beats 3; 2 and 3 are not separable; 0 and 1 neither; 1 and 2 neither
    signs = np.array([[0, 0, -1, -1], [0, 0, 0, -1], [1, 0, 0, 0], [1, 1, 0, 0]], dtype=np.int8)
    assert ranking.rank_intervals(signs).tolist() == [[1, 2], [1, 3], [2, 4], [3, 4]]
    # 2 is separable from 0, the first member, though not from 1
    assert ranking.tie_groups([0, 1, 2, 3], signs) == ["a", "a", "b", "b"]


def test_a_model_that_beats_all_has_rank_1_alone() -> None:
    signs = np.array([[0, 1], [-1, 0]], dtype=np.int8)
    assert ranking.rank_intervals(signs).tolist() == [[2, 2], [1, 1]]
    assert ranking.tie_groups([1, 0], signs) == ["b", "a"]


def test_letters() -> None:
    assert [ranking.letters(i) for i in (0, 25, 26, 27, 701, 702)] == [
        "a",
        "z",
        "aa",
        "ab",
        "zz",
        "aaa",
    ]


def _family(levels: list[float], n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Models at known levels whose samples share a difficulty, as real models' do."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(0, 0.1, size=n)
    values = np.array(levels)[:, None] + shared + rng.normal(0, 0.02, size=(len(levels), n))
    return values, rng.random((len(levels), n)) < 0.9


def test_known_order_and_ties_are_found() -> None:
    # the shared spread (.1) hides a step of .02 unless models are compared in pairs
    values, kept = _family([0.30, 0.30, 0.32, 0.34, 0.34, 0.34], 1000, seed=5)
    signs = ranking.separable(values, kept, resample_counts(1000, 2024))
    assert ranking.rank_intervals(signs).tolist() == [
        [1, 2],
        [1, 2],
        [3, 3],
        [4, 6],
        [4, 6],
        [4, 6],
    ]
    assert ranking.tie_groups(range(6), signs) == ["a", "a", "b", "c", "c", "c"]
    assert (signs == -signs.T).all()


def test_equal_models_are_called_different_in_5_percent_of_pairs() -> None:
    values, kept = _family([0.3] * 60, 400, seed=1)
    signs = ranking.separable(values, kept, resample_counts(400, 1))
    false = np.abs(signs).sum() / (60 * 59)
    assert 0.02 < false < 0.09


def test_closed_form_agrees_with_the_bootstrap(monkeypatch: pytest.MonkeyPatch) -> None:
    values, kept = _family(list(np.linspace(0.3, 0.32, 60)), 500, seed=2)
    counts = resample_counts(500, 3)
    bootstrap = ranking.separable(values, kept, counts)
    monkeypatch.setattr(ranking, "MAX_BOOTSTRAPPED", 0)
    monkeypatch.setattr(ranking, "_BLOCK", 17)
    closed = ranking.separable(values, kept, counts)
    assert (bootstrap == closed).mean() > 0.98
    assert (closed == -closed.T).all()
    gap = ranking.rank_intervals(bootstrap) - ranking.rank_intervals(closed)
    assert np.abs(gap).max() <= 3


def test_only_common_ids_count() -> None:
    rng = np.random.default_rng(0)
    values = np.stack([np.zeros(200), rng.normal(0, 0.01, 200)])
    values[1, 100:] = 5.0
    kept = np.ones((2, 200), dtype=bool)
    counts = resample_counts(200, 0)
    assert ranking.separable(values, kept, counts)[0, 1] == -1
    kept[0, 100:] = False
    assert ranking.separable(values, kept, counts)[0, 1] == 0


def test_without_common_ids_nobody_is_better() -> None:
    kept = np.array([[True, False], [False, True]])
    signs = ranking.separable([[0.0, np.nan], [np.nan, 1.0]], kept, resample_counts(2, 0))
    assert (signs == 0).all()
    assert ranking.separable(np.zeros((0, 2)), np.zeros((0, 2)), resample_counts(2, 0)).shape == (
        0,
        0,
    )


def test_identical_models_tie() -> None:
    values = np.random.default_rng(0).random((1, 300)).repeat(3, axis=0)
    signs = ranking.separable(values, np.ones((3, 300), dtype=bool), resample_counts(300, 0))
    assert ranking.tie_groups([0, 1, 2], signs) == ["a", "a", "a"]


def test_what_two_models_share_does_not_hide_their_difference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(3)
    pattern = rng.normal(0.4, 0.1, 500)
    values = np.stack([pattern, pattern + 0.002 + rng.normal(0, 0.005, 500)])
    others = rng.normal(0.4, 0.1, size=(6, 500))
    kept = np.ones((8, 500), dtype=bool)
    monkeypatch.setattr(ranking, "MAX_BOOTSTRAPPED", 0)
    signs = ranking.separable(np.concatenate([values, others]), kept, resample_counts(500, 0))
    # .002 is 9 standard errors of the paired difference, and a third of one unpaired
    assert signs[0, 1] == -1
