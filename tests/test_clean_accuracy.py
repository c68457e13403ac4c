"""The accuracy gate: a clean run of the whole split against what the entry states."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from conftest import MODEL, REPOSITORY

import bench
from bench.cli.main import call
from bench.data.base import load_batch
from bench.data.load import load_images
from bench.entries import registry
from bench.results.accuracy import Stated, accuracy_of, stated_accuracy

pytestmark = pytest.mark.usefixtures("caro_ranks")

REGISTRY = REPOSITORY / "registry"
HASH = "0" * 64


def small_split(folder: Path, test_accuracy: float) -> Path:
    """A registry in which the embedded 1000 images are the whole test split."""
    folder.mkdir()
    for name in ("data", "checkpoints", "protocols"):
        (folder / name).symlink_to(REGISTRY / name)
    (folder / "datasets").mkdir()
    text = (REGISTRY / "datasets" / "fashionmnist.toml").read_text()
    text = re.sub(r'(?m)^(test|labels) = ".*"\n', "", text)
    (folder / "datasets" / "fashionmnist.toml").write_text(
        text.replace("test_count = 10000", "test_count = 1000")
    )
    (folder / "models").mkdir()
    text = (REGISTRY / "models" / "fashionmnist" / f"{MODEL}.toml").read_text()
    text = re.sub(r"(?m)^test_accuracy = .*$", f"test_accuracy = {test_accuracy}", text)
    (folder / "models" / f"{MODEL}.toml").write_text(text)
    return folder


@pytest.fixture(scope="module")
def measured() -> float:
    """Percent of the 1000 embedded images that the model gets right, without `bench eval`."""
    images = load_images(
        registry.dataset("fashionmnist"), "test", data="embedded", registry_dir=REGISTRY
    )
    with torch.no_grad():
        predicted = bench.load_model(MODEL)(load_batch(images, range(1000))).argmax(1).numpy()
    return 100 * float((predicted == images.labels).mean())


@pytest.mark.parametrize(("off", "agrees"), [(0.0, True), (0.09, True), (0.11, False), (-3, False)])
def test_a_whole_run_says_whether_the_entry_is_right(
    off: float,
    agrees: bool,
    measured: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stated = round(measured + off, 4)
    monkeypatch.setenv("BENCH_REGISTRY", str(small_split(tmp_path / "registry", stated)))
    run = ["eval", "-m", MODEL, "-a", "clean", "--data", "embedded", "-o", str(tmp_path)]
    for _ in ("measured", "reused"):
        assert call(run) == 0
        out, err = capsys.readouterr()
        warned = [line for line in err.splitlines() if line.startswith("bench: warning: ")]
        assert ("agrees with top-1" in out) == agrees
        assert len(warned) == (not agrees)
        if not agrees:
            assert f"expected top-1 {stated:.2f} %" in warned[0]
            assert f"found top-1 {measured:.2f} % on all 1000 images" in warned[0]
    (file,) = tmp_path.glob("caro2024/*/*.clean.parquet")
    found = json.loads(pq.read_schema(file).metadata[b"bench"])["accuracy"]
    assert found["agrees"] is agrees
    assert found["n"] == 1000
    assert found["top1"] == pytest.approx(measured, abs=1e-3)
    assert found["stated"]["top1"] == stated


@pytest.mark.parametrize("arguments", [["--limit", "999"], ["--weights", "random"]])
def test_part_of_a_split_and_controls_are_not_compared(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("BENCH_REGISTRY", str(small_split(tmp_path / "registry", 12.0)))
    run = ["eval", "-m", MODEL, "-a", "clean", "--data", "embedded", "-o", str(tmp_path)]
    assert call([*run, *arguments]) == 0
    out, err = capsys.readouterr()
    assert "agrees" not in out
    assert "warning" not in err
    (file,) = tmp_path.rglob("*.clean.parquet")
    assert json.loads(pq.read_schema(file).metadata[b"bench"])["accuracy"]["agrees"] is None


def test_top_1_and_top_5_by_hand() -> None:
    ranks = np.array([0] * 805 + [1] * 100 + [4] * 46 + [5] * 49)
    stated = Stated(80.522, 95.162, "Supplementary Table 4")
    assert accuracy_of(ranks, stated).top1 == pytest.approx(80.5)
    assert accuracy_of(ranks, stated).top5 == pytest.approx(95.1)
    assert accuracy_of(ranks, stated).agrees is True
    assert accuracy_of(ranks, Stated(80.522, 95.3, "x")).agrees is False  # top-5 alone is off
    assert accuracy_of(ranks, Stated(80.61, 95.1, "x")).agrees is False  # top-1 alone is off
    assert accuracy_of(ranks, Stated(80.6, None, "x")).agrees is True  # exactly 0.1 point
    assert accuracy_of(ranks, None).agrees is None


def test_the_twelve_imagenet_entries_state_table_4() -> None:
    entries = [registry.model(name) for name in registry.model_names()]
    ours = [entry for entry in entries if entry.dataset == "imagenet"]
    assert len(ours) == 12
    for entry in ours:
        stated = stated_accuracy(entry, "default", None)
        assert stated is not None
        assert entry.paper is not None
        assert (stated.top1, stated.top5) == (entry.paper.top1, entry.paper.top5)
        assert stated_accuracy(entry, "random", None) is None
        assert stated_accuracy(entry, "path", HASH) is None


def test_weights_of_ones_own_are_not_held_to_the_entry() -> None:
    entry = registry.model(MODEL)
    assert entry.weights is not None
    assert stated_accuracy(entry, "path", entry.weights.sha256) is not None
    assert stated_accuracy(entry, "path", HASH) is None
    assert stated_accuracy(entry, "default", HASH) is None  # trained here, not the entry's
    # Table 3 is of the authors' nets, which nobody has
    untrained = entry.model_copy(update={"weights": None})
    assert untrained.paper is not None
    assert stated_accuracy(untrained, "default", HASH) is None
