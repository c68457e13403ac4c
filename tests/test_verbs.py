"""The Python calls of the verbs, from a measurement to the board."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import MODEL, REPOSITORY

import bench
from bench.errors import BenchError
from bench.files import atomic, write_bytes

pytestmark = pytest.mark.usefixtures("caro_ranks")


def test_from_measurement_to_board(quick: Path, tmp_path: Path) -> None:
    results, submissions = tmp_path / "results", tmp_path / "submissions"
    for weights in ("default", "random"):
        bench.evaluate(MODEL, protocol="quick", weights=weights, output=results)
    place = {"protocol": "quick", "results": results, "submissions": submissions}
    for name in (MODEL, f"{MODEL}@random"):
        assert bench.submit(name, "fashionmnist", **place)
    assert bench.check([submissions]) == []
    file = submissions / "quick" / "fashionmnist" / f"{MODEL}.parquet"
    found = bench.verify(file, samples=6, secret="s", data="embedded")
    assert (found.record.reproduced, found.record.contradicted) == (6, 0)
    for folder, attacks in ((results, {"bb-l2", "pgd-linf"}), (submissions, {"bb-l2"})):
        differences = bench.compare(MODEL, f"{MODEL}@random", folders=[folder])
        assert set(differences["attack"]) >= attacks
    # an untrained twin is submitted with the primary attack only
    assert set(differences["attack"]) == {"bb-l2"}
    assert bench.leaderboard(submissions, tmp_path / "board", figures=False)
    assert MODEL in (tmp_path / "board" / "fashionmnist.md").read_text()
    assert bench.leaderboard(submissions, tmp_path / "board", figures=False) == []
    shutil.copy(file, file.with_name("other.parquet"))
    assert bench.check([submissions])


def test_an_incomplete_result_is_not_submitted(quick: Path, tmp_path: Path) -> None:
    bench.evaluate(MODEL, protocol="quick", attacks=["pgd-l1"], output=tmp_path)
    with pytest.raises(BenchError):
        bench.submit(MODEL, "fashionmnist", protocol="quick", results=tmp_path,
                     submissions=tmp_path / "submissions")  # fmt: skip
    assert not list((tmp_path / "submissions").rglob("*.parquet"))


def test_weights_of_a_trial_training_are_partial(quick: Path, tmp_path: Path) -> None:
    """A checkpoint that says it saw fewer images than the data set has is never ranked."""
    from bench.models.checkpoint import read_checkpoint, write_checkpoint

    whole = read_checkpoint(REPOSITORY / "registry" / "checkpoints" / f"{MODEL}.safetensors")
    trial = tmp_path / "trial.safetensors"
    write_checkpoint(trial, whole.tensors, {**whole.meta, "train_count": 500})
    bench.evaluate(MODEL, protocol="quick", attacks=["pgd-l1"], weights=trial, output=tmp_path)
    assert (tmp_path / "partial" / "quick" / "fashionmnist" / f"{MODEL}.parquet").is_file()


def test_writing_below_a_file_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BenchError, match="expected to write"):
        write_bytes(tmp_path / "file" / "below" / "x", b"1")
    with pytest.raises(BenchError), atomic(tmp_path / "y"):
        raise OSError(28, "No space left on device")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]
