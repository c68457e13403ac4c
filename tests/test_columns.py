"""Ids and their places, columns as arrays, and the numpy spectrum, against plain Python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.entries.ids import places
from bench.errors import BenchError
from bench.grid import above_white, power_without_dc
from bench.results.columns import Columns, read_columns
from bench.results.untrusted import Unreadable, UntrustedFile


@pytest.mark.parametrize("ids", [[3, 1, 7, 5], [1, 3, 5, 7], [4], []])
def test_places_are_those_of_a_plain_search(ids: list[int]) -> None:
    wanted = [*range(-2, 10), 7, 7]
    place, known = places(ids, wanted)
    assert known.tolist() == [i in ids for i in wanted]
    assert [p for p, k in zip(place.tolist(), known, strict=True) if k] == [
        ids.index(i) for i in wanted if i in ids
    ]
    assert ((place >= 0) & (place < max(len(ids), 1))).all(), "any place may be indexed"


TABLE = pa.table(
    {
        "text": pa.array(["a", None, "b"]),
        "coded": pa.array(["x", "y", None]).dictionary_encode(),
        "whole": pa.array([1, None, 3], pa.int32()),
        "flag": pa.array([True, None, False]),
        "number": pa.array([0.5, None, 2.0], pa.float32()),
        "profile": pa.array([[1, 2], None, [3, 4]], pa.list_(pa.float16(), 2)),
        "list": pa.array([[1.0, None], None, []], pa.list_(pa.float32())),
    }
)


def test_columns_are_arrays_with_a_value_for_null(tmp_path: Path) -> None:
    # several chunks, each with its own dictionary, as a file of several row groups has
    pq.write_table(pa.concat_tables([TABLE, TABLE.slice(2)]), tmp_path / "x.parquet")
    file = read_columns(tmp_path / "x.parquet", TABLE.column_names)
    for rows in (Columns(pa.concat_tables([TABLE, TABLE.slice(2)])), file):
        assert len(rows) == 4
        assert rows["text"].tolist() == ["a", "None", "b", "b"]
        assert rows["coded"].tolist() == ["x", "y", "None", "None"]
        assert rows["whole"].tolist() == [1, -1, 3, 3]
        assert rows["flag"].tolist() == [True, False, False, False]
        np.testing.assert_equal(rows["number"], [0.5, np.nan, 2.0, 2.0])
        np.testing.assert_equal(rows["profile"], [[1, 2], [np.nan, np.nan], [3, 4], [3, 4]])
        assert rows.null("profile").tolist() == [False, True, False, False]
        assert rows["number"].dtype == rows["profile"].dtype == np.float64


def test_a_row_is_python_but_for_its_numbers() -> None:
    rows = Columns(TABLE)
    first, second = rows.row(0), rows.row(1)
    assert (first["text"], first["whole"], first["flag"]) == ("a", 1, True)
    np.testing.assert_equal(first["list"], [1.0, np.nan])
    assert second == dict.fromkeys(TABLE.column_names) | {"coded": "y"}
    assert rows.row(2)["list"].shape == (0,)


def test_a_missing_column_or_file_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    with pytest.raises(BenchError, match=r"readable result, found .*x\.parquet; see"):
        read_columns(path, ["a"])
    pq.write_table(TABLE, path)
    with pytest.raises(BenchError, match="expected a column other, found none"):
        read_columns(path, ["text", "other"])
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(BenchError, match="readable result"):
        read_columns(path, ["text"])
    with pytest.raises(Unreadable):
        UntrustedFile(path)


def test_power_is_parsevals_without_the_mean() -> None:
    images = np.random.default_rng(0).normal(size=(4, 3, 6, 5))
    power = power_without_dc(images)
    assert power.shape == (4, 30)
    rest = images - images.mean(axis=(2, 3), keepdims=True)
    np.testing.assert_allclose(power.sum(axis=1), 30 * (rest**2).sum(axis=(1, 2, 3)))
    assert (power[:, 0] == 0).all()
    np.testing.assert_array_equal(power_without_dc(images[1]), power[1])


def test_white_noise_is_nothing_above_white() -> None:
    shares = np.full((4, 5), 1 / 19)
    shares[0, 0] = 0
    found = above_white(shares)
    assert found[0, 0] == -np.inf
    np.testing.assert_allclose(found.ravel()[1:], 0, atol=1e-12)
    np.testing.assert_allclose(above_white(10 * shares).ravel()[1:], 1)
