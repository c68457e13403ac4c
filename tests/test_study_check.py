"""`bench check` of studies: true blocks pass, forged and foreign ones do not."""

from __future__ import annotations

import copy
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_study import BLOCKS, QUICK, asked, tiny

from bench.entries import registry
from bench.entries.dataset import Fingerprints
from bench.errors import BenchError
from bench.results import study_blocks
from bench.results.read import find
from bench.results.study_blocks import StudyBlock
from bench.studies.run import StudyRun, run
from bench.submissions.check import places, study_block
from bench.submissions.check.everything import check_everything
from bench.submissions.check.places import Place
from bench.submissions.check.problems import Problem
from bench.submissions.check.study_block import check_block
from bench.submissions.studies import submit_blocks

assert tiny, "a fixture"

Columns = dict[str, np.ndarray[Any, Any]]


@pytest.fixture(scope="module")
def whole(tiny: Path) -> Path:
    """The tiny study's finished blocks."""
    assert run(asked(tiny, "checked"), timing=QUICK) == 3
    return tiny / "checked"


def place(path: Path) -> Place:
    return Place(path, "studies", path.parent.name, path.stem, ".parquet")


def problems(path: Path) -> str:
    return "\n".join(str(problem) for problem in check_block(place(path)))


def forged(
    whole: Path,
    folder: Path,
    rows: Callable[[Columns], None] | None = None,
    facts: Callable[[dict[str, Any]], None] | None = None,
    name: str = BLOCKS[0],
) -> Path:
    """Write a block that was changed."""
    block = study_blocks.read(whole / "tiny" / f"{name}.parquet")
    columns = {key: block.column(key).copy() for key in block.rows.schema.names}
    known = copy.deepcopy(dict(block.metadata))
    if rows is not None:
        rows(columns)
    if facts is not None:
        facts(known)
    path = folder / "studies" / "tiny" / f"{name}.parquet"
    path.parent.mkdir(parents=True)
    with path.open("wb") as stream:
        study_blocks.write(stream, StudyBlock(study_blocks.table(columns), known))
    return path


def test_true_blocks_have_no_problem(whole: Path, tmp_path: Path) -> None:
    for name in BLOCKS:
        assert problems(whole / "tiny" / f"{name}.parquet") == ""
    assert problems(forged(whole, tmp_path)) == ""  # what the others are changed from


def put(column: str, value: float, where: slice | int = 0) -> Callable[[Columns], None]:
    def change(columns: Columns) -> None:
        columns[column][where] = value

    return change


def swap(columns: Columns) -> None:
    for values in columns.values():
        values[[0, 1]] = values[[1, 0]]


def shorter(columns: Columns) -> None:
    for name, values in columns.items():
        columns[name] = values[:-1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("rfc", 1.5), "rfc from 0"),
        (put("rfc", 0.05, slice(None)), "rfc that its hfe allows"),
        (put("hfe", 0.2), "rfc that its hfe allows|f50 on the side"),
        (put("f50", 0.4321, slice(None)), "radius of the grid"),
        (put("l2", -1.0), "l2 from 0"),
        (put("l2", 1e4), "l2 from 0"),
        (put("l2", np.nan), "l2 of a perturbation"),
        (put("margin", -0.5), "margin from 0"),
        (put("free_rfc", np.nan), "free_rfc of affine nets"),
        (put("clean_correct", True, slice(None)), "correct classes as test accuracy"),
        (put("epoch", 5), "samples 0, 1, ..."),
        (put("sample_id", 3), "samples 0, 1, ..."),
        (swap, "samples 0, 1, ..."),
        (shorter, "samples 0, 1, ..."),
        (put("status", "fine"), "a known status"),  # type: ignore[arg-type]
        (put("attack", "pgd-l2"), "attack min-l2"),  # type: ignore[arg-type]
    ],
)
def test_forged_rows_are_found(
    change: Callable[[Columns], None], message: str, whole: Path, tmp_path: Path
) -> None:
    assert re.search(message, problems(forged(whole, tmp_path, rows=change)))


def at(*keys: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(facts: dict[str, Any]) -> None:
        *path, last = (BLOCKS[0] if key == "CELL" else key for key in keys)
        for key in path:
            facts = facts[key]
        facts[last] = value

    return change


def without(key: str) -> Callable[[dict[str, Any]], None]:
    def change(facts: dict[str, Any]) -> None:
        del facts[key]

    return change


def renamed(facts: dict[str, Any]) -> None:
    facts["cells"] = {"other": facts["cells"][BLOCKS[0]]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (at("block_identity", value="0" * 64), "metadata block_identity: expected"),
        (at("block", value="x"), "metadata block: expected"),
        (at("study", value="fashionmnist-2026"), "metadata study: expected"),
        (at("limit", value=100), "a trial on the first 100"),
        (at("extra", value=1), "extra"),
        (at("cells", "CELL", "cell", "seed", value=7), "expected the study's cell"),
        (at("cells", "CELL", "cell", "factors", "learning_rate", value=0.5), "the study's cell"),
        (at("cells", "CELL", "identity", value="0" * 64), "expected identity"),
        (at("cells", "CELL", "affine", value=False), "affine"),
        (at("cells", "CELL", "attacks", value={"min-l2": "0" * 64}), "expected attacks min-l2"),
        (at("cells", "CELL", "train", "count", value=59), "240 images, found 59"),
        (at("cells", "CELL", "test", "count", value=59), "40 images, found 59"),
        (at("cells", "CELL", "points", 1, "test_accuracy", value=99.0), "as the curve has it"),
        (at("cells", "CELL", "points", 1, "loss", value=-1.0), "loss"),
        (at("cells", "CELL", "points", 1, "epoch", value=2), "those after epochs"),
        (at("cells", "CELL", "curve", value=[]), "expected epochs 1 to 2"),
        (at("cells", "CELL", "curve", 1, "learning_rate", value=0.9), "rate of the study's recipe"),
        (at("cells", "CELL", "points", value=[]), "points"),
        (without("cells"), "cells"),
        (without("study_hash"), "study_hash"),
        (renamed, "metadata cells"),
    ],
)
def test_forged_metadata_are_found(
    change: Callable[[dict[str, Any]], None], message: str, whole: Path, tmp_path: Path
) -> None:
    assert message in problems(forged(whole, tmp_path, facts=change))


def test_a_diverged_net_may_lack_the_closed_form_where_the_search_failed(
    whole: Path, tmp_path: Path
) -> None:
    def fail(rows: Columns) -> None:
        for name in ("l2", "rfc", "hfe", "f50", "dc_share", "windowed_rfc", "free_rfc"):
            rows[name][0] = np.nan
        rows["status"][0] = "init_failed"

    def diverge(known: dict[str, Any]) -> None:
        for facts in known["cells"].values():
            facts["diverged"] = {"epoch": 3, "text": "the loss is not finite"}

    assert "free_rfc of affine nets" in problems(forged(whole, tmp_path / "fine", fail))
    assert "free_rfc" not in problems(forged(whole, tmp_path / "gone", fail, diverge))
    only = put("free_rfc", np.nan)
    assert "free_rfc of affine nets" in problems(forged(whole, tmp_path / "ok", only, diverge))


def test_foreign_files_are_found(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "studies" / "tiny"
    folder.mkdir(parents=True)
    path = folder / f"{BLOCKS[1]}.parquet"
    shutil.copy(whole / "tiny" / f"{BLOCKS[0]}.parquet", path)
    assert "expected local-conv-lr0.01-e2-seed1" in problems(path)
    path.write_bytes(b"PAR1 nothing PAR1")
    assert "Parquet" in problems(path)
    with path.open("wb") as stream:
        pq.write_table(pa.table({"x": [1]}), stream)
    assert "expected no such column" in problems(path)
    path = folder / "unknown-seed0.parquet"
    shutil.copy(whole / "tiny" / f"{BLOCKS[0]}.parquet", path)
    assert "expected a block of study tiny" in problems(path)
    other = tmp_path / "studies" / "none" / f"{BLOCKS[0]}.parquet"
    other.parent.mkdir()
    shutil.copy(path, other)
    assert "expected a study of the registry" in problems(other)


def test_another_data_sets_images_are_found(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The repository's entry knows its fingerprints; made-up images have others."""
    real = registry.dataset("fashionmnist").model_copy(
        update={
            "fingerprints": Fingerprints(train="0" * 64, test="1" * 64),
            "train_count": 240,
            "test_count": 40,
        }
    )
    monkeypatch.setattr(study_block.registry, "dataset", lambda name: real)
    path = forged(whole, tmp_path)
    assert problems(path).count("expected fingerprint") == 2


def of_studies(found: list[Problem]) -> list[str]:
    """The problems of blocks; the tiny registry's entries have others."""
    return [str(problem) for problem in found if "/studies/" in problem.file]


def test_check_takes_studies_with_the_submissions(whole: Path, tmp_path: Path) -> None:
    written = submit_blocks(registry.study("tiny"), whole, tmp_path)
    assert sorted(path.stem for path in written) == sorted(BLOCKS)
    assert submit_blocks(registry.study("tiny"), whole, tmp_path) == []
    found = check_everything([tmp_path])
    assert of_studies(found.problems) == []
    assert (found.submissions, found.files) == (3, 3)
    assert find(tmp_path) == []  # no board takes them for results


def test_one_net_under_two_seeds_is_found(whole: Path, tmp_path: Path) -> None:
    def claim(facts: dict[str, Any]) -> None:
        true = study_blocks.read(whole / "tiny" / f"{BLOCKS[1]}.parquet").metadata
        cell = facts["cells"].pop(BLOCKS[0])
        for key in ("cell", "identity"):
            cell[key] = true["cells"][BLOCKS[1]][key]
        cell["points"][-1]["sha256"] = "1" * 64
        facts["cells"][BLOCKS[1]] = cell
        facts.update({key: true[key] for key in ("block", "block_identity")})

    def rename(columns: Columns) -> None:
        columns["cell"][:] = BLOCKS[1]

    submit_blocks(registry.study("tiny"), whole, tmp_path)
    copied = forged(whole, tmp_path / "x", rename, claim)
    shutil.move(copied, tmp_path / "studies" / "tiny" / f"{BLOCKS[1]}.parquet")
    shutil.rmtree(tmp_path / "x")
    found = of_studies(check_everything([tmp_path]).problems)
    assert len(found) == 1
    assert "expected other weights than those of" in found[0]


def test_sizes_are_bounded(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    submit_blocks(registry.study("tiny"), whole, tmp_path)
    monkeypatch.setattr(places, "STUDIES_BYTES", 10_000)
    assert "of blocks of studies" in str(places.collect([tmp_path])[1])
    monkeypatch.setattr(places, "STUDY_BLOCK_BYTES", 1_000)
    assert "at most 1,000 bytes" in str(places.collect([tmp_path])[1])
    (tmp_path / "studies" / "tiny" / "notes.verify.json").write_text("{}")
    assert "only studies/<study>/<block>.parquet" in str(places.collect([tmp_path])[1])


def test_a_block_with_a_problem_is_not_submitted(whole: Path, tmp_path: Path) -> None:
    forged(whole, tmp_path, rows=put("rfc", 1.5))
    with pytest.raises(BenchError, match="rfc from 0"):
        submit_blocks(registry.study("tiny"), tmp_path / "studies", tmp_path / "out")
    assert not (tmp_path / "out").exists()


FEW = """
name = "few"
title = "Fewer planted images than an epoch has"
protocol = "minimal2026"
samples = 8
linear_samples = 8
checkpoints = [0, 1]

[fixed]
data = "planted"
band = 0.4
epochs = 1
learning_rate = 0.002
batch_size = 40
relu = false

[[groups]]
name = "few"
title = "500 images, sixteen times"
priority = 1
seeds = [0]
[groups.factors]
family = ["local-conv"]
train_count = [500]
"""


def test_fewer_planted_images_than_an_epoch_are_checked(tiny: Path, tmp_path: Path) -> None:
    (tiny / "registry" / "studies" / "few.toml").write_text(FEW)
    registry.forget()
    wanted = StudyRun(study="few", output=str(tmp_path / "out"), submissions=None, threads=1)
    assert run(wanted, timing=QUICK) == 1
    (written,) = submit_blocks(registry.study("few"), tmp_path / "out", tmp_path)
    assert problems(written) == ""
