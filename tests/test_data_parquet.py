"""Parquet files: the hub's shards in a folder, raw pixels, and what can be wrong."""

from __future__ import annotations

import pickle
import zlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fabricate import cell_bytes, made_up, write_hub_parquet

from bench.data.arrays import array_images
from bench.data.base import fingerprint
from bench.data.load import load_images
from bench.entries import registry
from bench.errors import BenchError


def load(entry, path, split="test"):
    return load_images(entry, split, data_dir=path, registry_dir=registry.registry_dir())


def same(images, pixels, labels):
    assert fingerprint(images) == fingerprint(array_images(pixels, labels, ""))


@pytest.mark.parametrize(
    "place",
    ["plain_text/test-00000-of-00001", "test-00000-of-00001", "test", "test/0000", "data/test"],
)
def test_the_hubs_layouts(tmp_path, place):
    entry, pixels, labels = made_up("cifar10")
    path = write_hub_parquet(tmp_path / f"{place}.parquet", pixels, labels, entry)
    for source in (tmp_path, path):
        images = load(entry, source)
        same(images, pixels, labels)
        assert images.source == f"parquet {source}"


@pytest.mark.parametrize("name", ["mnist", "cifar100", "svhn"])
def test_shards_are_read_at_random_and_by_workers(tmp_path, name):
    entry, pixels, labels = made_up(name, 23)
    for shard, part in enumerate((slice(0, 9), slice(9, 10), slice(10, 23))):
        path = tmp_path / f"test-{shard:05d}-of-00003.parquet"
        write_hub_parquet(path, pixels[part], labels[part], entry, rows_a_group=4)
    images = load(entry, tmp_path)
    for position in (22, 0, 9, 8, 10, 13, 14, 22):
        np.testing.assert_array_equal(images.decode(position), pixels[position])
    assert images.where(9) == f"row 0 of {tmp_path / 'test-00001-of-00003.parquet'}"
    assert images.where(22) == f"row 12 of {tmp_path / 'test-00002-of-00003.parquet'}"
    same(images, pixels, labels)
    again = pickle.dumps(images)
    assert len(again) < 10_000  # no pixels travel
    same(pickle.loads(again), pixels, labels)


def columns(pixels):
    flat = [p.reshape(-1) for p in pixels]
    return {
        "fixed binary": pa.array([p.tobytes() for p in pixels], pa.binary(pixels[0].size)),
        "binary": pa.array([p.tobytes() for p in pixels], pa.binary()),
        "png": pa.array([cell_bytes(p) for p in pixels], pa.binary()),
        "list": pa.array(flat, pa.list_(pa.uint8())),
        "fixed list": pa.array(flat, pa.list_(pa.uint8(), pixels[0].size)),
        "int64 list": pa.array([p.astype(int) for p in flat], pa.list_(pa.int64())),
        "nested": pa.array([p.tolist() for p in pixels]),
    }


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
@pytest.mark.parametrize("kind", columns(np.zeros((1, 28, 28), np.uint8)))
def test_raw_pixels(tmp_path, name, kind):
    entry, pixels, labels = made_up(name)
    table = pa.table({"image": columns(pixels)[kind], "label": labels})
    pq.write_table(table, tmp_path / "test.parquet")
    same(load(entry, tmp_path), pixels, labels)


def test_a_png_with_as_many_bytes_as_raw_pixels_is_a_png(tmp_path):
    entry, _, labels = made_up("mnist", 1)
    image = np.zeros((28, 28), np.uint8)
    rng = np.random.default_rng(0)
    # a gray PNG of noise is longer than 784 bytes: blacken rows until it is shorter, then pad
    for row in range(28):
        image[row] = rng.integers(0, 256, 28)
        if len(cell_bytes(image)) > 700:
            break
    data = cell_bytes(image)
    end = data.index(b"IEND") - 4
    gap = 784 - len(data) - 12
    chunk = gap.to_bytes(4, "big") + b"prVt" + bytes(gap)
    crc = zlib.crc32(chunk[4:]).to_bytes(4, "big")
    padded = data[:end] + chunk + crc + data[end:]
    assert len(padded) == 784
    table = pa.table({"image": pa.array([padded], pa.binary()), "label": labels})
    pq.write_table(table, tmp_path / "test.parquet")
    same(load(entry, tmp_path), image[None], labels)


def test_imagenets_shards_are_ordered_by_number(tmp_path):
    entry = registry.dataset("imagenet")
    rng = np.random.default_rng(1)
    pixels = [rng.integers(0, 256, (20, 30 + k, 3), dtype=np.uint8) for k in range(12)]
    numbers = rng.permutation(12) + 101
    names = [f"ILSVRC2012_val_{n:08d}_n01440764.JPEG" for n in numbers]
    labels = rng.integers(0, 1000, 12)
    write_hub_parquet(
        tmp_path / "data/validation-00000-of-00001.parquet", pixels, labels, entry, names
    )
    # the official test split has no labels and must not be taken
    write_hub_parquet(tmp_path / "data/test-00000-of-00001.parquet", pixels, labels, entry, names)
    images = load(entry, tmp_path)
    np.testing.assert_array_equal(images.ids, np.arange(100, 112))
    for position, row in enumerate(np.argsort(numbers)):
        np.testing.assert_array_equal(images.decode(position), pixels[row])
        assert images.labels[position] == labels[row]
        assert images.where(position).startswith(f"row {row} of")


BAD = {
    "no image column": ({"picture": [1]}, r"column 'img', found label, picture, in"),
    "no label column": ({"img": [b"x"], "label": None}, r"column 'label', found img"),
    "labels are words": (
        {"img": [b"x"], "label": ["cat"]},
        r"integers in the label column .*string",
    ),
    "labels are null": ({"img": [b"x"], "label": pa.array([None], pa.int64())}, r"with 1 nulls"),
    "label -1": ({"img": [b"x"], "label": [-1]}, r"labels from 0 to 9 .*got -1.*row 0"),
    "label 10": ({"img": [b"x"], "label": [10]}, r"labels from 0 to 9 .*got 10.*row 0"),
    "not an image": ({"img": [b"x"]}, r"readable image, got 1 bytes.*row 0 of"),
    "a path only": ({"img": [{"bytes": None, "path": "a.png"}]}, r"image bytes, got a path"),
    "null": ({"img": pa.array([None], pa.binary())}, r"got NoneType.*row 0"),
    "floats": ({"img": [[0.5] * 3072]}, r"integers from 0 to 255, got list of float64"),
    "300": ({"img": [[300] * 3072]}, r"integers from 0 to 255"),
    "empty list": ({"img": pa.array([[]], pa.list_(pa.uint8()))}, r"integers from 0 to 255"),
    "wrong count": ({"img": [[3] * 3000]}, r"expected \(32, 32, 3\) values, got \(3000,\)"),
    "ragged": ({"img": [[[1, 2], [3]]]}, r"integers from 0 to 255"),
    "another size": (
        {"img": [cell_bytes(np.zeros((28, 28, 3), np.uint8))]},
        r"32 RGB.*got 28 x 28 RGB",
    ),
    "gray": ({"img": [cell_bytes(np.zeros((32, 32), np.uint8))]}, r"RGB images, got 32 x 32 gray"),
    "no rows": ({"img": pa.array([], pa.binary()), "label": pa.array([], pa.int64())}, r"got none"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_content_is_one_clear_line(tmp_path, kind):
    entry, _, _ = made_up("cifar10")
    content, expected = BAD[kind]
    table = {"label": [3], **content}
    pq.write_table(
        pa.table({k: v for k, v in table.items() if v is not None}), tmp_path / "test.parquet"
    )
    with pytest.raises(BenchError, match=expected) as caught:
        load(entry, tmp_path)
    assert "\n" not in str(caught.value)


def test_broken_and_missing_shards(tmp_path):
    _, pixels, labels = made_up("cifar10")
    entry = made_up("cifar10", 36)[0]
    paths = [
        write_hub_parquet(tmp_path / f"test-{k:05d}-of-00003.parquet", pixels, labels, entry)
        for k in range(3)
    ]
    whole = paths[1].read_bytes()
    for size in (0, 3, 100, len(whole) - 1):
        paths[1].write_bytes(whole[:size])
        with pytest.raises(BenchError, match="Parquet") as caught:
            load(entry, tmp_path)
        assert "\n" not in str(caught.value)
    paths[1].unlink()
    with pytest.raises(
        BenchError, match=r"3 shards, found 2 \(test-00001-of-00003.parquet is miss"
    ):
        load(entry, tmp_path)
    damaged = bytearray(whole)
    damaged[200:4000] = bytes(3800)
    paths[1].write_bytes(bytes(damaged))
    images = load(entry, tmp_path)
    with pytest.raises(BenchError, match=r"test-00001-of-00003\.parquet"):
        fingerprint(images)
