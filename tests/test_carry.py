"""Carrying a trained seed: weights into the registry, lines into the entry."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from conftest import REPOSITORY

from bench.entries import registry
from bench.errors import BenchError
from bench.models.checkpoint import read_checkpoint, write_checkpoint
from bench.models.load import load_model
from bench.training import carry as module
from bench.training.carry import carry


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry with the FashionMNIST nets only, without further seeds."""
    folder = tmp_path / "registry"
    for name in ("datasets", "protocols"):
        shutil.copytree(REPOSITORY / "registry" / name, folder / name)
    models = folder / "models" / "fashionmnist"
    models.mkdir(parents=True)
    for path in (REPOSITORY / "registry" / "models" / "fashionmnist").glob("*.toml"):
        (models / path.name).write_text(path.read_text().split("[[seeds]]")[0])
    monkeypatch.setenv("BENCH_REGISTRY", str(folder))
    return folder


def trained(tmp_path: Path, model: str, seed: int) -> Path:
    """A checkpoint as `bench train` writes it: the carried net under another seed."""
    source = REPOSITORY / "registry" / "checkpoints" / f"{model}.safetensors"
    found = read_checkpoint(source)
    path = tmp_path / f"{model}@seed{seed}.safetensors"
    write_checkpoint(path, found.tensors, {**found.meta, "seed": seed})
    return path


def test_a_linear_net_is_carried_as_its_affine_map(root: Path, tmp_path: Path) -> None:
    path = trained(tmp_path, "fashionmnist-local-conv", 7)
    lines = carry(path, root)
    target = root / "checkpoints" / "fashionmnist-local-conv@seed7.safetensors"
    assert target.stat().st_size < 50_000
    assert {n: tuple(t.shape) for n, t in read_checkpoint(target).tensors.items()} == {
        "weight": (10, 784),
        "bias": (10,),
    }
    images = torch.rand(5, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    ours = load_model("fashionmnist-local-conv@seed7")(images)
    theirs = load_model("fashionmnist-local-conv", path)(images)
    torch.testing.assert_close(ours, theirs)
    assert registry.model("fashionmnist-local-conv").seed_of(7) is not None
    assert f'sha256 = "{read_checkpoint(target).sha256}"' in lines


def test_large_weights_are_not_carried_but_listed(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = trained(tmp_path, "fashionmnist-local-conv-relu", 7)
    monkeypatch.setattr(module, "LARGEST", 1000)
    carry(path, root)
    seed = registry.model("fashionmnist-local-conv-relu").seed_of(7)
    assert seed is not None
    assert seed.file is None
    assert seed.command == (
        "bench train --model fashionmnist-local-conv-relu --seed 7 --until-lr 0.01"
    )
    assert seed.sha256 == read_checkpoint(path).sha256
    with pytest.raises(BenchError, match="bench train --model fashionmnist-local-conv-relu"):
        load_model("fashionmnist-local-conv-relu@seed7")


def test_a_seed_is_carried_once_and_other_files_are_refused(root: Path, tmp_path: Path) -> None:
    path = trained(tmp_path, "fashionmnist-local-conv-relu", 7)
    carry(path, root)
    assert (root / "checkpoints" / path.name).read_bytes() == path.read_bytes()
    with pytest.raises(BenchError, match="found seed 7, which it has"):
        carry(path, root)
    with pytest.raises(BenchError, match="found seed 0, which it has"):
        carry(trained(tmp_path, "fashionmnist-local-conv-relu", 0), root)
    other = tmp_path / "other.safetensors"
    write_checkpoint(other, {"w": torch.zeros(2)}, {})
    with pytest.raises(BenchError, match="expected a checkpoint of `bench train`"):
        carry(other, root)
