"""`bench train` on files in the data sets' real formats, and what the command line says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch
from fabricate import write_cifar, write_idx

import bench
from bench.cli.main import call
from bench.cli.train_progress import TrainBars
from bench.models.checkpoint import read_checkpoint

REGISTRY = Path(__file__).parents[1] / "registry"


@pytest.fixture(autouse=True)
def any_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a registry like the repository's, whose data sets are any 20 images."""
    folder = tmp_path / "registry"
    folder.mkdir()
    for name in ("models", "protocols", "data", "checkpoints"):
        (folder / name).symlink_to(REGISTRY / name)
    (folder / "datasets").mkdir()
    for path in (REGISTRY / "datasets").glob("*.toml"):
        head, _, _ = path.read_text().partition("[fingerprints]")
        test = 4 if path.stem == "cifar10" else 20
        head = re.sub(r"(?m)^test_count = .*$", f"test_count = {test}", head)
        head = re.sub(r"(?m)^train_count = .*$", "train_count = 20", head)
        (folder / "datasets" / path.name).write_text(head)
    monkeypatch.setenv("BENCH_REGISTRY", str(folder))


def noise(count: int, classes: int, *shape: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, *shape), dtype=np.uint8), rng.integers(0, classes, count)


def gray(folder: Path) -> None:
    for split in ("train", "test"):
        write_idx(folder, *noise(20, 10, 28, 28), split)


def cifar10(folder: Path) -> None:
    write_cifar(folder, *noise(4, 10, 32, 32, 3))  # five training files of these


def cifar100(folder: Path) -> None:
    write_cifar(folder, *noise(20, 100, 32, 32, 3), hundred=True)


def svhn(folder: Path) -> None:
    folder.mkdir()
    pixels, labels = noise(20, 10, 32, 32, 3)
    values = {"X": pixels.transpose(1, 2, 3, 0), "y": np.where(labels == 0, 10, labels)[:, None]}
    for split in ("train", "test"):
        scipy.io.savemat(folder / f"{split}_32x32.mat", values)


@pytest.mark.parametrize(
    ("dataset", "write", "shape", "classes"),
    [
        ("mnist", gray, [1, 28, 28], 10),
        ("fashionmnist", gray, [1, 28, 28], 10),
        ("cifar10", cifar10, [3, 32, 32], 10),
        ("cifar100", cifar100, [3, 32, 32], 100),
        ("svhn", svhn, [3, 32, 32], 10),
    ],
)
def test_every_small_data_set_trains_and_loads(
    tmp_path: Path, dataset: str, write: Any, shape: list[int], classes: int
) -> None:
    write(tmp_path / "data")
    arguments = ["--data-dir", str(tmp_path / "data"), "-o", str(tmp_path), "--epochs", "1"]
    model = f"{dataset}-local-conv-relu"
    assert call(["train", "--model", model, *arguments]) == 0
    path = tmp_path / "checkpoints" / f"{model}.safetensors"
    meta = read_checkpoint(path).meta
    assert (meta["input_shape"], meta["classes"], meta["train_count"]) == (shape, classes, 20)
    net = bench.load_model(model, weights=path)
    assert net(torch.rand(2, *shape)).shape == (2, classes)


def test_a_pattern_trains_its_nets_and_a_second_time_reuses_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gray(tmp_path / "data")
    arguments = ["--data-dir", str(tmp_path / "data"), "-o", str(tmp_path), "--epochs", "1"]
    command = ["train", "-m", "mnist-l*-relu", *arguments, "--seed", "3", "--limit", "10"]
    assert call(command) == 0
    said = capsys.readouterr()
    names = ("mnist-local-conv-relu", "mnist-locally-connected-relu")
    for place, name in enumerate(names, 1):
        assert (tmp_path / "checkpoints" / f"{name}@seed3.safetensors").exists()
        assert f"[{place}/2] {name}@seed3: 1/1 epochs, loss " in said.err
        assert name in said.out
    assert "was there" not in said.out
    assert call(command) == 0
    assert capsys.readouterr().out.count("was there") == 2


def test_an_interrupt_keeps_what_is_done_and_exits_with_130(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gray(tmp_path / "data")
    name = "mnist-local-conv-relu"
    arguments = ["--data-dir", str(tmp_path / "data"), "-o", str(tmp_path), "--epochs", "3"]
    original = TrainBars.step

    def interrupted(self: TrainBars) -> None:
        original(self)
        if self._taken == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TrainBars, "step", interrupted)
        assert call(["train", "-m", name, *arguments]) == 130
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == [
        f"{name}.csv",
        f"{name}.resume",
    ]
    capsys.readouterr()
    assert call(["train", "-m", name, *arguments]) == 0
    assert f"{name}: goes on after epoch 1 of 3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-m", "mnist-local-conv-relu", "--limit", "0"], "--limit of at least 1, got 0"),
        (["-m", "mnist-local-conv-rel", "--limit", "1"], "did you mean 'mnist-local-conv-relu'"),
        (["-m", "resnet50d"], "expected a net of the paper"),
        (["-m", "mnist-local-conv-relu", "--device", "cuda:99"], "--device"),
    ],
)
def test_what_the_user_can_fix_is_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["train", *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
