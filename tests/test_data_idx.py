"""IDX files: the real FashionMNIST, the usual names and places, and what can be wrong."""

from __future__ import annotations

import gzip
import pickle
from pathlib import Path

import numpy as np
import pytest
from fabricate import idx_bytes, made_up, write_idx

from bench.data.base import fingerprint
from bench.data.check import check_fingerprint
from bench.data.formats import embedded, idx
from bench.data.load import load_images
from bench.entries import registry
from bench.errors import BenchError

REAL = Path("/usr/share/datasets/fashion-mnist")
real = pytest.mark.skipif(not REAL.is_dir(), reason="needs Debian's dataset-fashion-mnist")


def load(entry, folder, split="test"):
    return load_images(entry, split, data_dir=folder, registry_dir=registry.registry_dir())


@real
def test_real_fashionmnist_is_what_torchvision_reads(tmp_path):
    from torchvision.datasets import FashionMNIST

    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for path in REAL.glob("*.gz"):
        (raw / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    entry = registry.dataset("fashionmnist")
    for split in ("test", "train"):
        theirs = FashionMNIST(str(tmp_path), train=split == "train")
        for folder in (REAL, tmp_path):
            ours = load(entry, folder, split)
            assert len(ours) == len(theirs) == getattr(entry, f"{split}_count")
            np.testing.assert_array_equal(ours.pixels, theirs.data.numpy())
            np.testing.assert_array_equal(ours.labels, theirs.targets.numpy())
        assert theirs.classes == list(entry.classes)


@real
def test_the_embedded_images_are_the_first_1000_of_the_real_test_split():
    entry = registry.dataset("fashionmnist")
    real_images = load(entry, REAL)
    carried = embedded.read(registry.registry_dir(), entry)
    np.testing.assert_array_equal(carried.ids, np.arange(1000))
    np.testing.assert_array_equal(carried.labels, real_images.labels[:1000])
    np.testing.assert_array_equal(carried.pixels, real_images.pixels[:1000])
    assert fingerprint(carried) == fingerprint(real_images, range(1000))
    assert fingerprint(carried) == entry.fingerprints.first1000


@real
def test_the_embedded_file_is_what_its_script_makes(tmp_path):
    from bench.data.make_embedded import make

    made = make(REAL, tmp_path)
    again = embedded.read(tmp_path, registry.dataset("fashionmnist"))
    assert made == tmp_path / "data/fashionmnist-test-first1000.parquet"
    assert fingerprint(again) == registry.dataset("fashionmnist").fingerprints.first1000


@real
def test_the_fingerprint_stops_other_images(tmp_path):
    entry = registry.dataset("fashionmnist")
    images = load(entry, REAL)
    swapped = images.pixels.copy()
    swapped[[9998, 9999]] = swapped[[9999, 9998]]
    write_idx(tmp_path / "order", swapped, images.labels, zipped=False)
    with pytest.raises(BenchError, match=r"10000 test images|test labels of FashionMNIST"):
        load(entry, tmp_path / "order")
    other = images.labels.copy()
    other[0] = (other[0] + 1) % 10
    write_idx(tmp_path / "label", images.pixels, other, zipped=False)
    with pytest.raises(BenchError, match="test labels of FashionMNIST"):
        load(entry, tmp_path / "label")
    # the first images may be right, the split is not whole
    for count in (9999, 1000, 20):
        write_idx(tmp_path / f"{count}", images.pixels[:count], images.labels[:count], zipped=False)
        with pytest.raises(BenchError, match=f"the 10000 test images of FashionMNIST, got {count}"):
            load(entry, tmp_path / f"{count}")


@pytest.mark.parametrize("place", ["", "raw", "MNIST/raw", "mnist"])
@pytest.mark.parametrize(("zipped", "dash"), [(True, "-"), (False, "-"), (False, "."), (True, ".")])
def test_usual_names_and_places(tmp_path, place, zipped, dash):
    entry, pixels, labels = made_up("mnist")
    for split in ("test", "train"):
        write_idx(tmp_path / place, pixels, labels, split, zipped=zipped, dash=dash)
        images = load(entry, tmp_path, split)
        np.testing.assert_array_equal(images.pixels, pixels)
        np.testing.assert_array_equal(images.labels, labels)
        np.testing.assert_array_equal(images.ids, np.arange(12))
        assert images.source == f"idx {tmp_path / place}"


def test_a_root_with_both_sets_gives_the_one_that_is_named(tmp_path):
    mnist, pixels, labels = made_up("mnist", seed=1)
    fashion, other, _ = made_up("fashionmnist", seed=2)
    write_idx(tmp_path / "MNIST" / "raw", pixels, labels)
    write_idx(tmp_path / "FashionMNIST" / "raw", other, labels)
    np.testing.assert_array_equal(load(mnist, tmp_path).pixels, pixels)
    np.testing.assert_array_equal(load(fashion, tmp_path).pixels, other)


def test_images_travel_to_workers(tmp_path):
    entry, pixels, labels = made_up("mnist")
    write_idx(tmp_path, pixels, labels)
    images = load(entry, tmp_path)
    assert fingerprint(pickle.loads(pickle.dumps(images))) == fingerprint(images)


def test_a_broken_file_is_one_clear_line(tmp_path):
    entry, pixels, labels = made_up("mnist")
    data = idx_bytes(pixels)
    broken = {
        "truncated": (data[:-1], r"9424 bytes for the 12 x 28 x 28 values.*got 9423.*truncated"),
        "too long": (data + b"\0", "too long"),
        "labels as images": (idx_bytes(labels), r"0x00000803, 3 dimensions.*starts with 00000801"),
        "empty": (b"", "starts with nothing"),
        "header only in part": (data[:9], "0x00000803"),
        "huge counts": (data[:4] + b"\xff" * 12 + data[16:], "truncated"),
    }
    for bad, expected in broken.values():
        images, _ = write_idx(tmp_path, pixels, labels)
        images.write_bytes(gzip.compress(bad))
        check_line(entry, tmp_path, expected, str(images))
    for bad in (gzip.compress(data)[:-20], b"not gzip", gzip.compress(data)[:30]):
        images.write_bytes(bad)
        check_line(entry, tmp_path, "gzip", str(images))


def check_line(entry, folder, expected, *words):
    with pytest.raises(BenchError, match=expected) as caught:
        load(entry, folder)
    line = str(caught.value)
    assert "\n" not in line
    for word in words:
        assert word in line


def test_missing_files_and_folders(tmp_path):
    entry, pixels, labels = made_up("mnist")
    check_line(entry, tmp_path / "nowhere", "found nothing at", "nowhere")
    check_line(entry, tmp_path, "t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte", str(tmp_path))
    _, label_file = write_idx(tmp_path, pixels, labels)
    label_file.unlink()
    check_line(entry, tmp_path, "no labels file beside it", "t10k-images")
    write_idx(tmp_path, pixels, labels)[0].unlink()
    check_line(entry, tmp_path, "no images file beside it", "t10k-labels")


def test_counts_sizes_and_labels_are_checked(tmp_path):
    entry, pixels, labels = made_up("mnist")
    write_idx(tmp_path, pixels, labels[:-1])
    check_line(entry, tmp_path, "got 11 labels in .* and 12 images")
    write_idx(tmp_path, pixels[:, :20, :24], labels)
    check_line(entry, tmp_path, "expected 28 x 28 gray images, got 20 x 24 gray")
    labels[[3, 7]] = 10
    write_idx(tmp_path, pixels, labels)
    check_line(entry, tmp_path, r"labels from 0 to 9 \(mnist\), got 10, in image 3 .*2 such")
    write_idx(tmp_path, pixels[:0], labels[:0])
    check_line(entry, tmp_path, "expected images of mnist, got none")


def test_the_fingerprint_depends_on_everything_it_covers(tmp_path):
    entry, pixels, labels = made_up("mnist")
    base = idx_images(tmp_path / "a", pixels, labels)
    seen = {
        fingerprint(base),
        fingerprint(base, range(11)),
        fingerprint(base, [1, 0, *range(2, 12)]),
    }
    changed = pixels.copy()
    changed[5, 3, 2] ^= 1
    seen.add(fingerprint(idx_images(tmp_path / "b", changed, labels)))
    seen.add(fingerprint(idx_images(tmp_path / "c", pixels, (labels + 1) % 10)))
    seen.add(fingerprint(idx_images(tmp_path / "d", pixels.reshape(12, 14, 56), labels)))
    assert len(seen) == 6
    check_fingerprint(base, entry, "test")  # an entry that knows none accepts any


def idx_images(folder, pixels, labels):
    write_idx(folder, pixels, labels)
    return idx.read(folder, made_up("mnist")[0], "test")
