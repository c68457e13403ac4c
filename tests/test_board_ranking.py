"""Ranks and tie groups by hand."""

from __future__ import annotations

import numpy as np

from bench.stats import ranks as ranking


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
