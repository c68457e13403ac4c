"""CIFAR-10 and CIFAR-100 in all published forms, against torchvision; hostile pickles."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from fabricate import (
    binary_batch,
    made_up,
    python2_batch,
    python3_batch,
    write_archive,
    write_cifar,
)

from bench.data.load import load_images
from bench.entries import registry
from bench.errors import BenchError

NAMES = {"cifar10": False, "cifar100": True}


def load(entry, path, split="test"):
    return load_images(entry, split, data_dir=path, registry_dir=registry.registry_dir())


def same(images, pixels, labels):
    np.testing.assert_array_equal(images.pixels, pixels)
    np.testing.assert_array_equal(images.labels, labels)
    np.testing.assert_array_equal(images.ids, np.arange(len(labels)))


@pytest.mark.parametrize("name", NAMES)
def test_torchvision_reads_the_same_from_the_python_version(tmp_path, name):
    import torchvision

    entry, pixels, labels = made_up(name)
    write_cifar(tmp_path, pixels, labels, hundred=NAMES[name])

    base = getattr(torchvision.datasets, name.upper())
    # made-up files have other checksums, and no file with the class names
    changes = {
        "train_list": [[n, None] for n, _ in base.train_list],
        "test_list": [[n, None] for n, _ in base.test_list],
        "_load_meta": lambda self: None,
    }
    theirs_class = type("Theirs", (base,), changes)
    for split in ("test", "train"):
        theirs = theirs_class(str(tmp_path), train=split == "train")
        ours = load(entry, tmp_path, split)
        np.testing.assert_array_equal(ours.pixels, theirs.data)
        np.testing.assert_array_equal(ours.labels, theirs.targets)
        np.testing.assert_array_equal(ours.decode(1), np.asarray(theirs[1][0]))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("python", [True, False])
def test_folder_archive_and_what_is_inside(tmp_path, name, python):
    entry, pixels, labels = made_up(name)
    hundred = NAMES[name]
    folder = write_cifar(tmp_path / "a", pixels, labels, hundred=hundred, python=python)
    stem = name.replace("cifar", "cifar-") + ("-python" if python else "-binary")
    (tmp_path / "b").mkdir()
    archive = write_archive(tmp_path / "b" / f"{stem}.tar.gz", folder)
    for path in (tmp_path / "a", folder, tmp_path / "b", archive):
        same(load(entry, path), pixels, labels)
    repeats = 1 if hundred else 5
    same(
        load(entry, archive, "train"), np.tile(pixels, (repeats, 1, 1, 1)), np.tile(labels, repeats)
    )


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_batches_that_python_3_pickled_again(tmp_path, protocol):
    entry, pixels, labels = made_up("cifar10")
    folder = write_cifar(tmp_path, pixels, labels)
    (folder / "test_batch").write_bytes(python3_batch(pixels, labels, protocol=protocol))
    same(load(entry, tmp_path), pixels, labels)


def test_our_python_2_pickle_is_one_that_python_reads():
    _, pixels, labels = made_up("cifar10")
    batch = pickle.loads(python2_batch(pixels, labels), encoding="latin1")
    assert batch["labels"] == list(labels)
    np.testing.assert_array_equal(
        batch["data"].reshape(-1, 3, 32, 32), pixels.transpose(0, 3, 1, 2)
    )


class Touch:
    """A pickle of this writes a file when it is loaded by the usual unpickler."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def hostile(path: Path) -> dict[str, bytes]:
    command = f"touch {path}"
    return {
        "reduce": pickle.dumps({"data": Touch(path), "labels": [0]}),
        "old opcodes": f"cos\nsystem\n(S'{command}'\ntR.".encode(),
        "instance": f"(S'{command}'\nios\nsystem\n.".encode(),
        "builtins": f'cbuiltins\neval\n(S\'__import__("os").system("{command}")\'\ntR.'.encode(),
        "attribute of an allowed module": f"cnumpy\nsave\n(S'{path}'\nI1\ntR.".encode(),
        "dotted name": f"\x80\x04\x8c\x05numpy\x8c\x09ndarray.x\x93(S'{command}'\ntR.".encode(
            "latin1"
        ),
    }


@pytest.mark.parametrize("kind", hostile(Path("x")))
def test_a_hostile_pickle_is_refused_and_does_nothing(tmp_path, kind):
    entry, pixels, labels = made_up("cifar10")
    folder = write_cifar(tmp_path, pixels, labels)
    trace = tmp_path / "trace"
    (folder / "test_batch").write_bytes(hostile(trace)[kind])
    with pytest.raises(BenchError, match=r"pickle that is refused.*test_batch") as caught:
        load(entry, tmp_path)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("trace*"))


def test_the_hostile_pickle_would_do_harm(tmp_path):
    trace = tmp_path / "trace"
    pickle.loads(hostile(trace)["reduce"])
    assert trace.exists()


BAD_PICKLES = {
    "truncated": (lambda p, y: python2_batch(p, y)[:-100], "refused"),
    "not a pickle": (lambda p, y: b"hello", "refused"),
    "empty": (lambda p, y: b"", "refused"),
    "another object": (lambda p, y: pickle.dumps([1, 2]), "holds a list, not a dict"),
    "no labels": (lambda p, y: python2_batch(p, y, "coarse_labels"), r"'labels'.*coarse_labels"),
    "labels too short": (lambda p, y: python2_batch(p, y[:-1]), r"'labels' \(N integers\)"),
    "floats": (
        lambda p, y: pickle.dumps({"data": p.reshape(-1, 3072) / 255, "labels": list(map(int, y))}),
        "array of type f8",
    ),
    "bytes missing": (
        lambda p, y: python2_batch(p, y).replace(
            b"J\x00\x0c\x00\x00\x86", b"J\x00\x0b\x00\x00\x86"
        ),
        "bytes for an array of",
    ),
    "other shape": (
        lambda p, y: pickle.dumps({"data": p.reshape(-1, 1024), "labels": list(map(int, y))}),
        "N x 3072 bytes",
    ),
}


@pytest.mark.parametrize("kind", BAD_PICKLES)
def test_a_bad_python_batch_is_one_clear_line(tmp_path, kind):
    entry, pixels, labels = made_up("cifar10")
    folder = write_cifar(tmp_path, pixels, labels)
    make, expected = BAD_PICKLES[kind]
    (folder / "test_batch").write_bytes(make(pixels, labels))
    with pytest.raises(BenchError, match=expected) as caught:
        load(entry, tmp_path)
    assert "\n" not in str(caught.value)
    assert "test_batch" in str(caught.value)


def test_bad_binary_files_archives_and_labels(tmp_path):
    entry, pixels, labels = made_up("cifar10")
    folder = write_cifar(tmp_path / "bin", pixels, labels, python=False)
    (folder / "test_batch.bin").write_bytes(binary_batch(pixels, labels)[:-1])
    with pytest.raises(BenchError, match=r"records of 3073 bytes, got 36875 bytes.*test_batch.bin"):
        load(entry, tmp_path / "bin")
    (folder / "test_batch.bin").write_bytes(binary_batch(pixels, labels + 250))
    with pytest.raises(BenchError, match=r"labels from 0 to 9"):
        load(entry, tmp_path / "bin")
    (folder / "data_batch_3.bin").unlink()
    with pytest.raises(BenchError, match=r"5 files of the train split, found 4 \(data_batch_3"):
        load(entry, tmp_path / "bin", "train")
    archive = write_archive(
        tmp_path / "cifar-10-python.tar.gz", write_cifar(tmp_path, pixels, labels)
    )
    archive.write_bytes(archive.read_bytes()[:5000])
    with pytest.raises(BenchError, match=r"complete archive.*cifar-10-python.tar.gz"):
        load(entry, archive)
    (tmp_path / "none").mkdir()
    with pytest.raises(
        BenchError, match=r"cifar-10-batches-py/test_batch .*cifar-10-binary.tar.gz"
    ):
        load(entry, tmp_path / "none")


def test_cifar_100_where_cifar_10_is_expected(tmp_path):
    entry = made_up("cifar10")[0]
    _, pixels, labels = made_up("cifar100")
    folder = write_cifar(tmp_path, pixels, labels, hundred=True)
    (folder / "test").rename(folder / "test_batch")
    with pytest.raises(BenchError, match=r"fine_labels.*is it another CIFAR"):
        load(entry, folder)
