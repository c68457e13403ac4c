"""The hub: its cache on disk, its client against a hub on the loopback, and no network."""

from __future__ import annotations

import json
import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fabricate import cell_bytes, made_up, write_hub_parquet
from fake_hub import serve

from bench.data.arrays import ArrayImages, array_images
from bench.data.base import fingerprint
from bench.data.hub import hub_cache
from bench.data.load import load_images
from bench.entries import registry
from bench.errors import BenchError

REVISION = registry.dataset("cifar10").hub.revision


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty hub cache."""
    from huggingface_hub import constants

    monkeypatch.delenv("HF_DATASETS_CACHE", raising=False)
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return tmp_path / "hf"


def cifar(count=12):
    entry, pixels, labels = made_up("cifar10", count)
    return entry.model_copy(update={"test_count": count}), pixels, labels


def load(entry, data="hub", **options):
    return load_images(entry, "test", data=data, registry_dir=registry.registry_dir(), **options)


def snapshot(cache, entry):
    name = entry.hub.id.replace("/", "--")
    return cache / "hub" / f"datasets--{name}" / "snapshots" / REVISION / entry.hub.folder


def prepared(cache, entry, config="plain_text"):
    name = entry.hub.id.replace("/", "___")
    return cache / "datasets" / name / config / "0.0.0" / REVISION


def write_arrow(path, pixels, labels, entry):
    """Write an Arrow file as `datasets` prepares it."""
    import datasets
    from datasets.arrow_writer import ArrowWriter

    names = datasets.ClassLabel(names=list(entry.classes))
    features = datasets.Features(img=datasets.Image(), label=names)
    path.parent.mkdir(parents=True, exist_ok=True)
    with ArrowWriter(path=str(path), features=features) as writer:
        for image, label in zip(pixels, labels, strict=True):
            cell = {"bytes": cell_bytes(image), "path": None}
            writer.write({"img": cell, "label": int(label)})
        writer.finalize()


def test_shards_in_the_hubs_file_cache(cache):
    entry, pixels, labels = cifar()
    folder = snapshot(cache, entry)
    write_hub_parquet(folder / "test-00000-of-00002.parquet", pixels[:7], labels[:7], entry)
    assert hub_cache.read_cached(entry, "test") is None  # one of two shards
    write_hub_parquet(folder / "test-00001-of-00002.parquet", pixels[7:], labels[7:], entry)
    for data in ("hub", None):
        images = load(entry, data, offline=True)
        assert fingerprint(images) == fingerprint(array_images(pixels, labels, ""))
        assert images.source.startswith("hub cache")


@pytest.mark.parametrize("config", ["plain_text", "plain_text-1eb46a6ce79b6aac"])
@pytest.mark.parametrize(
    "files", [["cifar10-test"], ["cifar10-test-00000-of-00002", "cifar10-test-00001-of-00002"]]
)
def test_what_datasets_prepared_before(cache, config, files):
    entry, pixels, labels = cifar()
    folder = prepared(cache, entry, config)
    half = 12 // len(files)
    for k, name in enumerate(files):
        part = slice(k * half, (k + 1) * half)
        write_arrow(folder / f"{name}.arrow", pixels[part], labels[part], entry)
    images = load(entry, None, offline=True)
    assert fingerprint(images) == fingerprint(array_images(pixels, labels, ""))
    again = pickle.loads(pickle.dumps(images))
    np.testing.assert_array_equal(again.decode(11), pixels[11])
    assert "row 11 of hub cache" in again.where(11)


def test_other_configs_revisions_and_half_prepared_sets_are_not_taken(cache):
    entry, pixels, labels = cifar()
    for place in (
        prepared(cache, entry, "other"),
        prepared(cache, entry).with_name("1" * 40),
    ):
        write_arrow(place / "cifar10-test.arrow", pixels, labels, entry)
    write_arrow(prepared(cache, entry) / "cifar10-test.arrow", pixels[:5], labels[:5], entry)
    (prepared(cache, entry, "plain_text-0") / "x").mkdir(parents=True)
    (prepared(cache, entry, "plain_text-0") / "cifar10-test.arrow").write_bytes(b"cut off")
    assert hub_cache.read_cached(entry, "test") is None


def test_the_cached_images_are_held_to_the_fingerprint(cache):
    entry, pixels, labels = made_up("cifar10", 20)
    known = registry.dataset("cifar10").fingerprints
    entry = entry.model_copy(update={"test_count": 20, "fingerprints": known})
    write_hub_parquet(snapshot(cache, entry) / "test-00000-of-00001.parquet", pixels, labels, entry)
    with pytest.raises(BenchError, match="first 20 test images of cifar10"):
        load(entry, None)


def test_without_cache_the_embedded_images_come_first(cache):
    entry = registry.dataset("fashionmnist")
    images = load(entry, None)
    assert images.source == "embedded data/fashionmnist-test-first1000.parquet"
    with pytest.raises(
        BenchError, match=r"train split of FashionMNIST.*offline.*--data-dir with a l"
    ):
        load_images(entry, "train", registry_dir=registry.registry_dir(), offline=True)


def test_offline_and_unreachable_are_one_clear_line(cache, monkeypatch):
    from huggingface_hub import constants

    entry = registry.dataset("cifar10")
    with pytest.raises(BenchError, match=r"the run is offline.*--data-dir .*--data samples"):
        load(entry, offline=True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(BenchError, match="the run is offline"):
        load(entry)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for data in ("hub", None):
        with pytest.raises(
            BenchError, match=r"an answer from http://127.*refused.*--data samples"
        ) as e:
            load(entry, data)
        assert "\n" not in str(e.value)


CLIENT = """
import json, sys
from fabricate import made_up
from bench.entries import registry
from bench.data.base import fingerprint
from bench.data.load import load_images
from bench.errors import BenchError

def show(name, **changes):
    entry = made_up(name)[0]
    hub = entry.hub.model_copy(update={k: v for k, v in changes.items() if k != "test_count"})
    entry = entry.model_copy(update={"hub": hub, "test_count": changes.get("test_count", 12)})
    try:
        images = load_images(entry, "test", data="hub", registry_dir=registry.registry_dir())
        return [fingerprint(images), images.ids.tolist(), images.source]
    except BenchError as error:
        return str(error)

print(json.dumps([show(name, **changes) for name, changes in json.loads(sys.argv[1])]))
"""

CARD = """---
configs:
- config_name: {config}
  data_files:
  - split: train
    path: {folder}/train-*
  - split: {test}
    path: {folder}/{test}-*
dataset_info:
  config_name: {config}
  splits:
  - {{name: train, num_bytes: 1, num_examples: 99}}
  - {{name: {test}, num_bytes: 1, num_examples: 12}}
---
"""


def write_repository(root, entry, pixels, labels, names=None):
    hub = entry.hub
    folder = root / hub.id / hub.folder
    shards = {f"{hub.test_split}-00000-of-00001": (pixels, labels, names)}
    shards["train-00000-of-00001"] = (pixels[:3], labels[:3], names[:3] if names else None)
    for shard, (some, their_labels, their_names) in shards.items():
        write_hub_parquet(folder / f"{shard}.parquet", some, their_labels, entry, their_names)
    card = CARD.format(config=hub.config, folder=hub.folder, test=hub.test_split)
    (folder.parent / "README.md").write_text(card)


def ask(address, home, cases):
    env = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0"}
    env |= {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    for name in ("HF_HUB_CACHE", "HF_DATASETS_CACHE", "HF_DATASETS_OFFLINE", "HF_TOKEN"):
        env.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, json.dumps(cases)],
        cwd=Path(__file__).parent,
        env=env,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_the_client_downloads_one_split_and_then_needs_no_network(tmp_path):
    entry, pixels, labels = cifar()
    write_repository(tmp_path, entry, pixels, labels)
    with serve(tmp_path, REVISION) as (address, asked):
        first = ask(address, tmp_path / "hf", [["cifar10", {}]])
    expected = fingerprint(array_images(pixels, labels, ""))
    assert first == [[expected, list(range(12)), f"hub uoft-cs/cifar10@{REVISION}"]]
    assert any("test-00000-of-00001.parquet" in line for line in asked)
    assert not any("train-00000" in line for line in asked)
    # the server is gone: both what `datasets` prepared and the shards are still there
    second = ask(address, tmp_path / "hf", [["cifar10", {}]])
    assert second[0][:2] == [expected, list(range(12))]
    assert "hub cache" in second[0][2]


@pytest.mark.slow
def test_gated_missing_and_changed_repositories(tmp_path):
    entry, pixels, labels = cifar()
    imagenet = registry.dataset("imagenet").hub
    write_repository(tmp_path, entry, pixels, labels)
    (tmp_path / imagenet.id).mkdir(parents=True)
    cases = [
        ["imagenet", {"revision": REVISION, "test_count": 50000}],
        ["cifar10", {"id": "uoft-cs/gone"}],
        ["cifar10", {"folder": "elsewhere"}],
        ["cifar10", {"config": "other"}],
        ["cifar10", {"image_column": "picture"}],
        ["cifar10", {"label_column": "img"}],
    ]
    with serve(tmp_path, REVISION, gated=imagenet.id) as (address, _):
        answers = ask(address, tmp_path / "hf", cases)
    gated, gone, folder, config, renamed, not_labels = answers
    assert "accept its terms at https://huggingface.co/datasets/ILSVRC/imagenet-1k" in gated
    assert "`hf auth login`" in gated
    assert "--data samples" in gated
    assert "uoft-cs/gone" in gone
    assert "[hub] in the entry" in gone
    assert "test split of uoft-cs/cifar10" in folder
    assert "'other' not found" in config
    assert isinstance(renamed, list)  # the usual names are tried too
    assert "expected integers in the label column 'img'" in not_labels
    assert not any("\n" in text for text in answers if isinstance(text, str))


@pytest.mark.slow
def test_imagenets_numbers_order_the_hubs_rows(tmp_path):
    entry, _, _ = made_up("imagenet")
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (12, 20, 30, 3), dtype=np.uint8)
    numbers = rng.permutation(12) + 5
    labels = rng.integers(0, 1000, 12)
    names = [f"ILSVRC2012_val_{n:08d}_n01440764.JPEG" for n in numbers]
    write_repository(tmp_path, entry, pixels, labels, names)
    with serve(tmp_path, entry.hub.revision) as (address, asked):
        answer = ask(address, tmp_path / "hf", [["imagenet", {"test_count": 50000}]])
    order = np.argsort(numbers)
    expected = ArrayImages(numbers[order] - 1, labels[order], "", pixels[order])
    assert answer[0][:2] == [fingerprint(expected), list(range(4, 16))]
    assert not any("train-" in line for line in asked)
