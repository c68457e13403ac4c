"""SVHN's .mat files, written by scipy and read by torchvision as well."""

from __future__ import annotations

import numpy as np
import pytest
from fabricate import made_up

from bench.data.load import load_images
from bench.entries import registry
from bench.errors import BenchError


def load(entry, path, split="test"):
    return load_images(entry, split, data_dir=path, registry_dir=registry.registry_dir())


def write(folder, pixels, labels, split="test", **changes):
    import scipy.io

    folder.mkdir(parents=True, exist_ok=True)
    written = np.where(labels == 0, 10, labels)[:, None].astype(np.uint8)
    content = {"X": pixels.transpose(1, 2, 3, 0), "y": written, **changes}
    path = folder / f"{split}_32x32.mat"
    scipy.io.savemat(path, {k: v for k, v in content.items() if v is not None}, do_compression=True)
    return path


def test_torchvision_reads_the_same(tmp_path):
    from torchvision.datasets import SVHN

    entry, pixels, labels = made_up("svhn", count=40)
    assert (labels == 0).any()

    # made-up files have other checksums
    names = {split: [url, name, None] for split, (url, name, _) in SVHN.split_list.items()}
    theirs_class = type("Theirs", (SVHN,), {"split_list": names})
    for split in ("test", "train"):
        write(tmp_path, pixels, labels, split)
        theirs, ours = theirs_class(str(tmp_path), split=split), load(entry, tmp_path, split)
        np.testing.assert_array_equal(ours.pixels, theirs.data.transpose(0, 2, 3, 1))
        np.testing.assert_array_equal(ours.labels, theirs.labels)
        np.testing.assert_array_equal(ours.labels, labels)


BAD = {
    "no labels": ({"y": None}, r"variables X and y, found X"),
    "counts differ": ({"y": np.ones((3, 1), np.uint8)}, r"N labels, got .* and 3 labels"),
    "label 11": ({"y": np.full((12, 1), 11, np.uint8)}, r"from 1 to 10 .* got 11 to 11"),
    "floats": ({"X": np.zeros((32, 32, 3, 12))}, r"float64"),
    "size": ({"X": np.zeros((16, 16, 3, 12), np.uint8)}, r"32 x 32 RGB images, got 16 x 16"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_content_is_one_clear_line(tmp_path, kind):
    entry, pixels, labels = made_up("svhn")
    changes, expected = BAD[kind]
    write(tmp_path, pixels, labels, **changes)
    with pytest.raises(BenchError, match=expected) as caught:
        load(entry, tmp_path)
    assert "\n" not in str(caught.value)
    assert "test_32x32.mat" in str(caught.value)


def test_damaged_and_missing_files(tmp_path):
    entry, pixels, labels = made_up("svhn")
    with pytest.raises(BenchError, match=r"SVHN.*test_32x32\.mat.*found none"):
        load(entry, tmp_path)
    path = write(tmp_path, pixels, labels)
    whole = path.read_bytes()
    for size in (0, 4, 100, 200, len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:size])
        with pytest.raises(BenchError, match=r"test_32x32\.mat") as caught:
            load(entry, tmp_path)
        assert "\n" not in str(caught.value)
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + whole)
    with pytest.raises(BenchError, match=r"test_32x32\.mat"):
        load(entry, tmp_path)
