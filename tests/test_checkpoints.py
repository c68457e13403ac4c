"""The checkpoints that the registry carries are what their entries say."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

import bench
from bench.data.base import load_batch
from bench.data.load import load_images
from bench.entries import registry
from bench.models.checkpoint import read_checkpoint, write_checkpoint

ENTRIES = [
    entry
    for entry in map(registry.model, registry.model_names())
    if entry.weights is not None and entry.weights.file is not None
]


def file_of(name: str) -> Path:
    weights = registry.model(name).weights
    assert weights is not None
    assert weights.file is not None
    return registry.registry_dir() / weights.file


def test_there_is_one_for_every_shallow_relu_family() -> None:
    embedded = [entry for entry in ENTRIES if entry.net and entry.net.relu and not entry.net.deep]
    families = {entry.net.family for entry in embedded if entry.net}
    assert families == {"fully-connected", "full-conv", "locally-connected", "local-conv"}
    assert sum(file_of(entry.name).stat().st_size for entry in embedded) <= 16 * 10**6


@pytest.mark.parametrize("name", [entry.name for entry in ENTRIES])
def test_entry_and_metadata_agree(name: str) -> None:
    entry = registry.model(name)
    assert entry.weights is not None
    assert entry.net is not None
    assert entry.recipe is not None
    found = read_checkpoint(file_of(name), sha256=entry.weights.sha256)
    assert found.meta["model"] == name
    assert found.meta["net"] == entry.net.model_dump()
    assert found.meta["recipe"] == entry.recipe.model_dump(exclude={"epochs"})
    assert found.meta["test_accuracy"] == pytest.approx(entry.weights.test_accuracy, abs=0.005)
    assert (found.meta["epochs"], found.meta["seed"]) == (
        entry.weights.epochs,
        entry.weights.seed,
    )
    dataset = registry.dataset(entry.dataset)
    assert found.meta["train_count"] == dataset.train_count
    assert found.meta["train_fingerprint"] == dataset.fingerprints.train
    assert found.meta["test_fingerprint"] == dataset.fingerprints.test


@pytest.mark.parametrize("name", [entry.name for entry in ENTRIES])
def test_accuracy_on_the_embedded_images_is_the_stated_one(name: str) -> None:
    entry = registry.model(name)
    assert entry.weights is not None
    assert entry.weights.test_accuracy is not None
    images = load_images(
        registry.dataset(entry.dataset),
        "test",
        data="embedded",
        registry_dir=registry.registry_dir(),
    )
    net = bench.load_model(name)
    with torch.no_grad():
        predicted = net(load_batch(images, range(len(images)))).argmax(1).numpy()
    stated = entry.weights.test_accuracy / 100
    error = math.sqrt(stated * (1 - stated) / len(images))
    assert (predicted == images.labels).mean() == pytest.approx(stated, abs=3 * error)


def test_another_training_seed_is_a_result_of_its_own(tmp_path: Path, quick: Path) -> None:
    model = "fashionmnist-local-conv-relu"
    found = read_checkpoint(file_of(model))
    for seed in (0, 3):
        write_checkpoint(
            tmp_path / f"{seed}.safetensors", found.tensors, {**found.meta, "seed": seed}
        )
        bench.evaluate(
            model=model,
            weights=tmp_path / f"{seed}.safetensors",
            attacks=["pgd-l1"],
            protocol="quick",
            limit=2,
            output=tmp_path,
        )
    made = [p.name for p in sorted(tmp_path.glob("partial/quick/fashionmnist/*.parquet"))]
    assert [name for name in made if "extras" not in name] == [
        f"{model}.parquet",
        f"{model}@seed3.parquet",
    ]
