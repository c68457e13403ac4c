"""ImageNet's official validation archive with its list of labels."""

from __future__ import annotations

import gzip
import pickle
import tarfile

import numpy as np
import pytest
from fabricate import any_images, cell_bytes, write_archive

from bench.data.base import fingerprint
from bench.data.check import check_fingerprint, labels_fingerprint
from bench.data.load import load_images
from bench.entries import registry
from bench.errors import BenchError

TRUTH = "ILSVRC2012_validation_ground_truth.txt"
# the first ten lines of the official list, and the classes of Caffe's val.txt for the same images
NUMBERS = [490, 361, 171, 822, 297, 482, 13, 704, 599, 164]
CLASSES = [65, 970, 230, 809, 516, 57, 334, 415, 674, 332]


def entry():
    return any_images(registry.dataset("imagenet"), test_count=10)


def load(path, using=None):
    return load_images(
        using or entry(), "test", data_dir=path, registry_dir=registry.registry_dir()
    )


@pytest.fixture
def pixels():
    rng = np.random.default_rng(7)
    return [rng.integers(0, 256, (30 + k, 40, 3), dtype=np.uint8) for k in range(10)]


def write(root, pixels, order=range(10), kind="PNG"):
    """Return an archive of the images; PNG bytes, so that they come back exactly."""
    root.mkdir(parents=True, exist_ok=True)
    flat = root / "flat"
    flat.mkdir()
    path = root / "ILSVRC2012_img_val.tar"
    with tarfile.open(path, "w") as archive:
        for k in order:
            file = flat / f"ILSVRC2012_val_{k + 1:08d}.JPEG"
            file.write_bytes(cell_bytes(pixels[k], kind))
            archive.add(file, file.name)
    return path


def write_truth(path, numbers=NUMBERS):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{n}\n" for n in numbers))
    return path


def same(images, pixels):
    np.testing.assert_array_equal(images.ids, np.arange(10))
    np.testing.assert_array_equal(images.labels, CLASSES)
    for k in range(10):
        np.testing.assert_array_equal(images.decode(k), pixels[k])


@pytest.mark.parametrize("truth", [TRUTH, f"data/{TRUTH}", f"ILSVRC2012_devkit_t12/data/{TRUTH}"])
def test_the_archive_with_its_list(tmp_path, pixels, truth):
    path = write(tmp_path, pixels, order=np.random.default_rng(1).permutation(10))
    write_truth(tmp_path / truth)
    for place in (tmp_path, path):
        images = load(place)
        same(images, pixels)
        assert images.where(3) == f"ILSVRC2012_val_00000004.JPEG of {path}"
    same(pickle.loads(pickle.dumps(images)), pixels)


def test_the_development_kit_as_an_archive_and_unpacked_images(tmp_path, pixels):
    path = write(tmp_path / "data", pixels)
    write_truth(tmp_path / "kit/ILSVRC2012_devkit_t12/data" / TRUTH)
    kit = tmp_path / "data" / "ILSVRC2012_devkit_t12.tar.gz"
    write_archive(kit, tmp_path / "kit" / "ILSVRC2012_devkit_t12")
    same(load(tmp_path / "data"), pixels)
    path.unlink()
    for name in ("val", "ILSVRC2012_img_val"):
        (tmp_path / "data" / "flat").rename(tmp_path / "data" / name)
        same(load(tmp_path / "data"), pixels)
        (tmp_path / "data" / name).rename(tmp_path / "data" / "flat")
    (tmp_path / "data" / "flat" / "ILSVRC2012_val_00000003.JPEG").unlink()
    some = load(tmp_path / "data" / "flat")
    np.testing.assert_array_equal(some.ids, [0, 1, 3, 4, 5, 6, 7, 8, 9])
    np.testing.assert_array_equal(some.labels, CLASSES[:2] + CLASSES[3:])


def test_the_archive_and_class_folders_give_the_same_images(tmp_path, pixels):
    write(tmp_path / "a", pixels)
    write_truth(tmp_path / "a" / TRUTH)
    wordnet = ["n01751748", "n09193705", "n02105855", "n04263257", "n03125729", "n01735189"]
    wordnet += ["n02346627", "n02776631", "n03794056", "n02328150"]
    for k, name in enumerate(wordnet):
        folder = tmp_path / "b" / "val" / name
        folder.mkdir(parents=True)
        (folder / f"ILSVRC2012_val_{k + 1:08d}.JPEG").write_bytes(cell_bytes(pixels[k]))
    assert fingerprint(load(tmp_path / "a")) == fingerprint(load(tmp_path / "b"))


def test_the_translation_of_the_list_is_a_permutation():
    order = registry.dataset("imagenet").ground_truth_classes
    assert sorted(order) == list(range(1000))
    names = registry.dataset("imagenet").classes
    assert [names[order[n - 1]] for n in (1, 2, 3, 1000)] == [
        "kit fox", "English setter", "Siberian husky", "dumbbell",
    ]  # fmt: skip


def test_labels_are_held_to_the_official_ones(tmp_path, pixels):
    real = registry.dataset("imagenet")
    write(tmp_path, pixels)
    # 50 of each class as in the official list, but in another order
    write_truth(tmp_path / TRUTH, list(range(1, 1001)) * 50)
    with pytest.raises(
        BenchError, match=r"official labels .fingerprint ac78efc25b0e.*ground_truth"
    ):
        load(tmp_path, real)
    known = real.fingerprints.model_copy(update={"labels": labels_fingerprint(np.array(CLASSES))})
    mine = entry().model_copy(update={"fingerprints": known})
    write_truth(tmp_path / TRUTH)
    images = load(tmp_path, mine)
    images.labels[4] += 1
    with pytest.raises(BenchError, match=r"labels of ImageNet .*official order"):
        check_fingerprint(images, mine, "test")


BAD_LISTS = {
    "too few": (NUMBERS[:9], r"expected 10 numbers from 1 to 1000, got 9 from 13 to 822"),
    "zero": ([0, *NUMBERS[1:]], r"got 10 from 0 to 822"),
    "1001": ([1001, *NUMBERS[1:]], r"got 10 from 13 to 1001"),
    "words": (["n01751748", *NUMBERS[1:]], r"one number a line, got .*n01751748"),
    "empty": ([], r"got 0, in"),
}


@pytest.mark.parametrize("kind", BAD_LISTS)
def test_a_bad_list_is_one_clear_line(tmp_path, pixels, kind):
    numbers, expected = BAD_LISTS[kind]
    write(tmp_path, pixels)
    write_truth(tmp_path / TRUTH, numbers)
    with pytest.raises(BenchError, match=expected) as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)
    assert TRUTH in str(caught.value)


def test_missing_lists_and_broken_archives(tmp_path, pixels):
    path = write(tmp_path / "in", pixels)
    with pytest.raises(
        BenchError, match=rf"{TRUTH} or ILSVRC2012_devkit_t12\.tar\.gz .*found neither"
    ):
        load(tmp_path / "in")
    kit = tmp_path / "in" / "ILSVRC2012_devkit_t12.tar.gz"
    write_truth(tmp_path / "ILSVRC2012_devkit_t12" / "readme.txt")
    write_archive(kit, tmp_path / "ILSVRC2012_devkit_t12")
    with pytest.raises(BenchError, match=rf"expected {TRUTH} in the archive, found none"):
        load(path)
    for data in (kit.read_bytes()[:50], b"", gzip.compress(b"x")):
        kit.write_bytes(data)
        with pytest.raises(BenchError, match=r"archive.*devkit_t12\.tar\.gz") as caught:
            load(path)
        assert "\n" not in str(caught.value)
    write_truth(tmp_path / "in" / TRUTH)
    images, whole = load(path), path.read_bytes()
    inside = int(images.spans[5, 0]) + 10
    for size in (0, 100, inside, int(images.spans[9].sum()) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(
            BenchError, match=r"complete archive.*ILSVRC2012_img_val\.tar"
        ) as caught:
            load(path)
        assert "\n" not in str(caught.value)


def test_a_broken_image_in_the_archive_is_named(tmp_path, pixels):
    path = write(tmp_path, pixels, kind="JPEG")
    write_truth(tmp_path / TRUTH)
    images = load(tmp_path)
    data = bytearray(path.read_bytes())
    offset, size = images.spans[6]
    data[offset : offset + size] = bytes(size)
    path.write_bytes(bytes(data))
    with pytest.raises(BenchError, match=r"unknown format.*ILSVRC2012_val_00000007.JPEG of"):
        images.decode(6)
    path.unlink()
    with pytest.raises(BenchError, match=r"readable archive"):
        images.decode(6)
