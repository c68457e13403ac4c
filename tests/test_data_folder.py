"""Class-per-folder trees: names to class indices, ImageNet's numbers, broken images."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from fabricate import cell_bytes, made_up, write_tree

from bench.data.base import fingerprint, positions_of
from bench.data.check import check_readable
from bench.data.load import load_images
from bench.entries import registry
from bench.errors import BenchError

OWN = {
    "classes": ("zebra", "ant", "mole"),
    "layouts": ("folder",),
    "test_count": 6,
    "train_count": 6,
}


def load(entry, path, split="test"):
    return load_images(entry, split, data_dir=path, registry_dir=registry.registry_dir())


def own(**changes):
    """An entry for a user's own data set of three classes, 32 x 32 RGB."""
    return made_up("cifar10")[0].model_copy(update={**OWN, **changes})


@pytest.fixture
def noise():
    return np.random.default_rng(5).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)


def files_of(images):
    return [Path(images.where(position)) for position in range(len(images))]


@pytest.mark.parametrize("place", ["test", "val", ".", "cifar10/test"])
def test_named_folders_have_the_entrys_index(tmp_path, noise, place):
    names = ["zebra", "ant", "ant", "mole", "zebra", "ant"]
    write_tree(tmp_path / place, noise, names, [f"{k}.png" for k in range(6)])
    (tmp_path / place / "ant" / "notes.txt").write_text("not an image")
    images = load(own(), tmp_path)
    assert [int(p.stem) for p in files_of(images)] == [1, 2, 5, 3, 0, 4]  # order of the paths
    for position, path in enumerate(files_of(images)):
        np.testing.assert_array_equal(images.decode(position), noise[int(path.stem)])
    np.testing.assert_array_equal(images.labels, [1, 1, 1, 2, 0, 0])
    np.testing.assert_array_equal(images.ids, np.arange(6))
    assert fingerprint(pickle.loads(pickle.dumps(images))) == fingerprint(images)


def test_torchvision_reads_a_tree_in_the_order_of_the_names_and_we_do_not(tmp_path, noise):
    from torchvision.datasets import ImageFolder

    names = ["zebra", "ant", "mole", "ant", "zebra", "mole"]
    write_tree(tmp_path / "train", noise, names, [f"{k}.png" for k in range(6)])
    ours, theirs = load(own(), tmp_path, "train"), ImageFolder(str(tmp_path / "train"))
    assert [theirs.classes[label] for label in theirs.targets] == [
        OWN["classes"][label] for label in ours.labels
    ]
    assert list(ours.labels) != theirs.targets
    for position in range(6):
        np.testing.assert_array_equal(ours.decode(position), np.asarray(theirs[position][0]))


def imagenet_tree(root, numbers, synsets, suffix=".JPEG"):
    rng = np.random.default_rng(0)
    pixels = [rng.integers(0, 256, (40 + k, 50, 3), dtype=np.uint8) for k in range(len(numbers))]
    names = [f"ILSVRC2012_val_{n:08d}{suffix}" for n in numbers]
    return write_tree(root, pixels, synsets, names)


def test_imagenet_ids_are_the_numbers_of_the_files(tmp_path):
    entry = registry.dataset("imagenet")
    imagenet_tree(tmp_path / "val", [50000, 293, 7], ["n01440764", "n01440764", "n15075141"])
    images = load(entry, tmp_path)
    np.testing.assert_array_equal(images.ids, [6, 292, 49999])
    np.testing.assert_array_equal(images.labels, [999, 0, 0])
    assert [images.decode(k).shape for k in range(3)] == [(42, 50, 3), (41, 50, 3), (40, 50, 3)]
    np.testing.assert_array_equal(positions_of(images, [49999, 6]), [2, 0])
    with pytest.raises(
        BenchError, match=r"all of 2 sample ids, found 1 \(the first missing one is 8\)"
    ):
        positions_of(images, [6, 8])
    with pytest.raises(BenchError, match=r"missing one is 50000"):
        positions_of(images, [50000])


def test_imagenets_class_index_is_the_sorted_wordnet_id():
    timm_data = pytest.importorskip("timm.data")
    entry = registry.dataset("imagenet")
    info = timm_data.ImageNetInfo()
    assert list(entry.class_folders) == [info.index_to_label_name(k) for k in range(1000)]
    # a handful that everybody knows
    known = {
        0: "tench",
        207: "golden retriever",
        281: "tabby",
        404: "airliner",
        999: "toilet tissue",
    }
    assert {k: entry.classes[k] for k in known} == known
    for index, name in known.items():
        assert name in info.label_name_to_description(entry.class_folders[index])


def test_imagenet_images_become_rgb_whatever_is_stored(tmp_path):
    entry = registry.dataset("imagenet")
    paths = imagenet_tree(tmp_path / "val", [1, 2, 3], ["n01440764"] * 3)
    gray = np.random.default_rng(1).integers(0, 256, (9, 8), dtype=np.uint8)
    PIL.Image.fromarray(gray).save(paths[0], "PNG")  # one of the 50,000 is a PNG, many are gray
    PIL.Image.new("CMYK", (8, 9), (10, 20, 30, 40)).save(paths[1], "JPEG")
    images = load(entry, tmp_path)
    np.testing.assert_array_equal(images.decode(0), np.repeat(gray[..., None], 3, axis=2))
    assert images.decode(1).shape == (9, 8, 3)


def test_broken_images_are_named_and_counted(tmp_path):
    entry = registry.dataset("imagenet")
    paths = imagenet_tree(tmp_path / "val", [1, 2, 3, 4, 5], ["n01440764"] * 5)
    whole = [p.read_bytes() for p in paths]
    images = load(entry, tmp_path)
    check_readable(images, range(5))
    for bad in (
        whole[1][: len(whole[1]) // 2],
        b"",
        b"\x89PNG\r\n\x1a\n",
        b"<html>",
        whole[1][:20],
    ):
        paths[1].write_bytes(bad)
        with pytest.raises(BenchError, match="readable image") as caught:
            images.decode(1)
        assert paths[1].name in str(caught.value)
        assert "\n" not in str(caught.value)
        with pytest.raises(BenchError, match=paths[1].name):
            check_readable(images, range(5))
    for position in (0, 3, 4):
        paths[position].write_bytes(b"x")
    with pytest.raises(
        BenchError, match=r"5 readable images, got 4 broken ones .*00001.*00004.*, \.\.\."
    ):
        check_readable(images, range(5))
    check_readable(images, [2])
    paths[2].unlink()
    with pytest.raises(BenchError, match=r"No such file.*00003"):
        images.decode(2)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "PPM"])
def test_any_cut_of_an_image_is_a_clear_error(tmp_path, kind):
    image = np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    whole = cell_bytes(image, kind)
    paths = write_tree(tmp_path, [image] * 3, ["ant", "mole", "zebra"], ["a.png"] * 3)
    images = load(own(test_count=3), tmp_path)
    rng = np.random.default_rng(2)
    for size in [*range(0, 60, 7), *rng.integers(60, len(whole) - 80, 8)]:
        paths[1].write_bytes(whole[:size])
        with pytest.raises(BenchError, match="mole"):
            images.decode(1)


BAD_TREES = {
    "renamed": (["n01440764/a.JPEG"], r"official file names.*got 'a.JPEG'"),
    "number": (["n01440764/ILSVRC2012_val_00050001.JPEG"], r"1 to 50000.*00050001"),
    "twice": (
        ["n01440764/ILSVRC2012_val_00000001.JPEG", "n01443537/ILSVRC2012_val_00000001.JPEG"],
        r"each image once",
    ),
    "no class": (
        ["n01440764/ILSVRC2012_val_00000001.JPEG", "trench/ILSVRC2012_val_00000002.JPEG"],
        r"class folders of ImageNet.*\(n01440764, n01443537, \.\.\..*1 are no classes \(trench\)",
    ),
    "no images": (["n01440764/readme.md"], r"images in the 1 class folders, found none"),
}


@pytest.mark.parametrize("kind", BAD_TREES)
def test_a_bad_tree_is_one_clear_line(tmp_path, noise, kind):
    names, expected = BAD_TREES[kind]
    for name in names:
        path = tmp_path / "val" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cell_bytes(noise[0], "JPEG"))
    with pytest.raises(BenchError, match=expected) as caught:
        load(registry.dataset("imagenet"), tmp_path)
    assert "\n" not in str(caught.value)


def test_folders_that_are_something_else(tmp_path, noise):
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Data").mkdir()
    with pytest.raises(BenchError, match=r"val/n01440764/\*.*validation-\*\.parquet.*found none"):
        load(registry.dataset("imagenet"), tmp_path)
    write_tree(
        tmp_path, noise[:, :16], ["ant", "mole", "zebra", "ant", "ant", "ant"], list("abcdef")
    )
    (tmp_path / "Annotations").rmdir()
    with pytest.raises(BenchError, match=r"1 are no classes \(Data\)"):
        load(own(), tmp_path)
    (tmp_path / "Data").rmdir()
    for path in tmp_path.glob("*/?"):
        path.rename(path.with_suffix(".jpg"))
    with pytest.raises(
        BenchError, match=r"expected 32 x 32 RGB images, got 16 x 32 RGB, in .*a\.jpg"
    ):
        load(own(), tmp_path)
