"""What comes in as images is what it says it is: names, counts, exact values, bounded sizes."""

from __future__ import annotations

import gzip
import io
import json
import struct
import tarfile
import zlib

import numpy as np
import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fabricate import cell_bytes, made_up, write_hub_parquet, write_tree

from bench.data.decode import decode_image
from bench.data.formats import bounded
from bench.data.formats.class_names import class_indices
from bench.data.load import load_images
from bench.entries import registry
from bench.entries.dataset import Fingerprints
from bench.errors import BenchError

IMAGENET = registry.dataset("imagenet")
CIFAR = registry.dataset("cifar10")


def load(entry, path, split="test"):
    return load_images(entry, split, data_dir=path, registry_dir=registry.registry_dir())


# ---------------------------------------------------------------- names of classes

SPELT = {
    "integers": [str(k) for k in range(1000)],
    "integers with zeros": [f"{k:04d}" for k in range(1000)],
    "some integers": ["0", "17", "999"],
    "WordNet ids": ["n01440764", "n15075141"],
    "WordNet ids in capitals": ["N01440764", "N15075141"],
    "names": ["great white shark", "toilet tissue"],
    "underscores": ["great_white_shark", "Toilet_Tissue"],
    "several words": ["great white shark, white shark, man-eater", "toilet tissue, toilet paper"],
    "a number first": ["003.great_white_shark", "1000 - toilet tissue"],
    "id and name": ["n01484850_great_white_shark", "n15075141-anything"],
    "number and id": ["2.n01484850", "999.n15075141"],
    "mixed": ["n01484850", "toilet-tissue"],
}
MEANT = {
    "integers": list(range(1000)), "integers with zeros": list(range(1000)),
    "some integers": [0, 17, 999], "WordNet ids": [0, 999], "WordNet ids in capitals": [0, 999],
}  # fmt: skip
NOT_SPELT = {
    "from one": [str(k) for k in range(1, 1001)],
    "too large": ["0", "1000"],
    "negative": ["-1", "0"],
    "a number and a name": ["0", "tench"],
    "letters": [f"class{k}" for k in range(1000)],
    "a long number": ["9" * 5000],
    "other digits": ["٣", "٤"],
}


@pytest.mark.parametrize("kind", SPELT)
def test_usual_spellings_are_understood(kind):
    assert class_indices(SPELT[kind], IMAGENET) == MEANT.get(kind, [2, 999])


@pytest.mark.parametrize("kind", NOT_SPELT)
def test_other_spellings_are_not_guessed(kind):
    assert class_indices(NOT_SPELT[kind], IMAGENET) is None


def imagenet_tree(root, names, labels=None):
    image = np.zeros((8, 8, 3), np.uint8)
    files = [f"ILSVRC2012_val_{k + 1:08d}.JPEG" for k in range(len(names))]
    return write_tree(root / "val", [image] * len(names), names, files)


def test_integer_folders_are_read_as_numbers(tmp_path):
    imagenet_tree(tmp_path, ["0", "9", "10", "100", "999", "2"])
    assert load(IMAGENET, tmp_path).labels.tolist() == [0, 9, 10, 100, 999, 2]


@pytest.mark.parametrize("names", [["tench", "Tench"], ["0", "00"], ["n01440764", "tench"]])
def test_two_folders_of_one_class_are_refused(tmp_path, names):
    imagenet_tree(tmp_path, names)
    with pytest.raises(BenchError, match="one folder a class"):
        load(IMAGENET, tmp_path)


def test_folders_in_the_same_order_are_no_names(tmp_path):
    imagenet_tree(tmp_path, [f"c{k:04d}" for k in range(1000)])
    with pytest.raises(BenchError, match=r"of which 1000 are no classes \(c0000\).*order says"):
        load(IMAGENET, tmp_path)


def test_a_copy_of_the_protocols_images_is_held_to_their_labels(tmp_path):
    """Two images change their folders; the list and its fingerprint are made up alike."""
    registry_dir = tmp_path / "registry"
    registry_dir.mkdir()
    (registry_dir / "ids.txt").write_text("3\n1\n")
    digest = __import__("hashlib").sha256(np.array([7, 5], "<i8").tobytes()).hexdigest()
    prints = Fingerprints(labels_of={"ids.txt": digest})
    entry = IMAGENET.model_copy(update={"fingerprints": prints})
    imagenet_tree(tmp_path / "right", ["0", "5", "0", "7"])
    imagenet_tree(tmp_path / "wrong", ["0", "7", "0", "5"])
    imagenet_tree(tmp_path / "without", ["0", "7"])

    def opened(name):
        return load_images(entry, "test", data_dir=tmp_path / name, registry_dir=registry_dir)

    assert len(opened("right")) == 4
    with pytest.raises(BenchError, match=r"labels of ImageNet .*ids of ids\.txt"):
        opened("wrong")
    assert len(opened("without")) == 2  # it can't be measured on these ids anyway


def test_imagenets_protocol_ids_have_a_fingerprint():
    ids = registry.protocol("caro2024").selection["imagenet"].file
    assert ids in IMAGENET.fingerprints.labels_of


def named_labels(path, names, labels, entry):
    pixels = made_up(entry.name, len(labels))[1]
    write_hub_parquet(path, pixels, np.array(labels), entry)
    table = pq.read_table(path)
    column = entry.columns[1][0]
    features = {"info": {"features": {column: {"names": names, "_type": "ClassLabel"}}}}
    about = {b"huggingface": json.dumps(features).encode()}
    pq.write_table(table.replace_schema_metadata(about), path)


def test_labels_follow_the_names_that_a_file_gives_them(tmp_path):
    entry = made_up("cifar10", 3)[0]
    turned = list(reversed(entry.classes))
    named_labels(tmp_path / "test.parquet", turned, [0, 1, 9], entry)
    assert load(entry, tmp_path).labels.tolist() == [9, 8, 0]
    named_labels(tmp_path / "test.parquet", list(entry.classes), [0, 1, 9], entry)
    assert load(entry, tmp_path).labels.tolist() == [0, 1, 9]
    named_labels(tmp_path / "test.parquet", [f"c{k}" for k in range(10)], [0, 1, 9], entry)
    assert load(entry, tmp_path).labels.tolist() == [0, 1, 9]
    named_labels(tmp_path / "test.parquet", ["x", *turned[1:]], [0, 1, 9], entry)
    with pytest.raises(BenchError, match=r"classes of CIFAR-10 in their order, got 'ship'"):
        load(entry, tmp_path)


# ---------------------------------------------------------------- counts and order


def shards(folder, names, parts, entry):
    for name, (pixels, labels) in zip(names, parts, strict=True):
        write_hub_parquet(folder / name, pixels, labels, entry)


def parts(count, each=2):
    entry, pixels, labels = made_up("cifar10", count * each)
    cut = [slice(k * each, (k + 1) * each) for k in range(count)]
    return entry, [(pixels[c], labels[c]) for c in cut], pixels, labels


HASH = "-0123456789abcdef"


@pytest.mark.parametrize("split", ["test", "train"])
def test_unpadded_shards_are_in_the_order_of_their_numbers(tmp_path, split):
    entry, some, pixels, labels = parts(12)
    entry = entry.model_copy(update={"train_count": 24})
    shards(tmp_path, [f"{split}-{k}.parquet" for k in range(12)], some, entry)
    images = load(entry, tmp_path, split)
    np.testing.assert_array_equal(images.labels, labels)
    np.testing.assert_array_equal(images.decode(23), pixels[23])


TWO_SETS = {
    "old and new": ["test-00000-of-00001.parquet", f"test-00000-of-00001{HASH}.parquet"],
    "two counts": ["test-00000-of-00001.parquet", "test-00000-of-00002.parquet"],
    "numbered and not": ["test-0.parquet", "test-00000-of-00001.parquet"],
}


@pytest.mark.parametrize("kind", TWO_SETS)
def test_two_sets_of_shards_are_refused(tmp_path, kind):
    entry, some, *_ = parts(1)
    shards(tmp_path, TWO_SETS[kind], some * 2, entry)
    with pytest.raises(BenchError, match="one set of shards, found 2"):
        load(entry, tmp_path)


LOST = {
    "hashed": (
        [f"test-00000-of-00003{HASH}.parquet", f"test-00002-of-00003{HASH}.parquet"],
        "3 shards, found 2",
    ),
    "counted": (["test-0-of-3.parquet", "test-1-of-3.parquet"], "3 shards, found 2"),
    "only numbered": (["test-0.parquet", "test-2.parquet"], "the 6 test images .*got 4"),
}


@pytest.mark.parametrize("kind", LOST)
def test_a_lost_shard_is_missed(tmp_path, kind):
    names, reason = LOST[kind]
    entry, some, *_ = parts(3)
    shards(tmp_path, names, some[:2], entry)
    with pytest.raises(BenchError, match=reason):
        load(entry, tmp_path)


def test_a_lost_training_shard_and_a_doubled_one_are_missed(tmp_path):
    entry, some, *_ = parts(3)
    entry = entry.model_copy(update={"train_count": 6})
    shards(tmp_path, ["train-0.parquet", "train-1.parquet"], some[:2], entry)
    with pytest.raises(BenchError, match=r"the 6 train images .*got 4.*missing"):
        load(entry, tmp_path, "train")
    shards(tmp_path, ["train-2.parquet", "train-3.parquet"], [some[2], some[2]], entry)
    with pytest.raises(BenchError, match=r"6 train images .*got more"):
        load(entry, tmp_path, "train")


@pytest.mark.parametrize("split", ["test", "train"])
def test_the_order_of_labels_is_held_to_the_fingerprint(tmp_path, split):
    from bench.data.check import labels_fingerprint

    entry, some, _, labels = parts(3)
    key = {"test": "labels", "train": "train_labels"}[split]
    prints = Fingerprints(**{key: labels_fingerprint(labels)})
    entry = entry.model_copy(update={"fingerprints": prints, "train_count": 6})
    shards(tmp_path, [f"{split}-{k}.parquet" for k in range(3)], some, entry)
    assert len(load(entry, tmp_path, split)) == 6
    shards(tmp_path, [f"{split}-{k}.parquet" for k in range(3)], some[::-1], entry)
    with pytest.raises(BenchError, match=f"the {split} labels of CIFAR-10"):
        load(entry, tmp_path, split)


# ---------------------------------------------------------------- exact values, bounded sizes


def saved(image, kind="PNG", **options):
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, depth, color, rows):
    head = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    parts = [chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


NOISE = np.random.default_rng(3).integers(0, 256, (8, 8, 3), dtype=np.uint8)
ALPHA = np.dstack([NOISE, np.full((8, 8), 255, np.uint8)])
HOLES = np.dstack([NOISE, NOISE[..., 0]])
GRAY16 = (np.arange(64).reshape(8, 8) * 1000).astype(np.uint16)


def palette(**options):
    return saved(PIL.Image.fromarray(NOISE).convert("P"), **options)


SEEN = int(np.asarray(PIL.Image.fromarray(NOISE).convert("P"))[0, 0])

ROUNDED = {
    "16-bit gray PNG": saved(PIL.Image.fromarray(GRAY16)),
    "16-bit RGB PNG": png(8, 8, 16, 2, b"".join(b"\0" + bytes(48) for _ in range(8))),
    "16-bit RGBA PNG": png(8, 8, 16, 6, b"".join(b"\0" + bytes(64) for _ in range(8))),
    "16-bit TIFF": saved(PIL.Image.fromarray(GRAY16), "TIFF"),
    "32-bit TIFF": saved(PIL.Image.fromarray(GRAY16.astype(np.int32)), "TIFF"),
    "float TIFF": saved(PIL.Image.fromarray(GRAY16.astype(np.float32)), "TIFF"),
    "16-bit PGM": b"P5 8 8 65535\n" + GRAY16.astype(">u2").tobytes(),
    "16-bit PPM": b"P6 8 8 65535\n" + np.repeat(GRAY16, 3).astype(">u2").tobytes(),
    "holes": saved(PIL.Image.fromarray(HOLES)),
    "gray with holes": saved(PIL.Image.fromarray(HOLES).convert("LA")),
    "palette with a hole": palette(transparency=SEEN),
    "two pictures": saved(
        PIL.Image.fromarray(NOISE), "TIFF", save_all=True,
        append_images=[PIL.Image.fromarray(NOISE[::-1])],
    ),
}  # fmt: skip


@pytest.mark.parametrize("rgb", [True, False])
@pytest.mark.parametrize("kind", ROUNDED)
def test_values_that_do_not_fit_are_refused(kind, rgb):
    with pytest.raises(BenchError, match=r"8 bits a value|opaque image") as caught:
        decode_image(ROUNDED[kind], "x.png", rgb=rgb)
    assert "x.png" in str(caught.value)


EXACT = {
    "RGB": (saved(PIL.Image.fromarray(NOISE)), NOISE),
    "opaque RGBA": (saved(PIL.Image.fromarray(ALPHA)), NOISE),
    "gray": (saved(PIL.Image.fromarray(NOISE[..., 0])), NOISE[..., 0]),
    "bits": (saved(PIL.Image.fromarray(NOISE[..., 0] > 99)), (NOISE[..., 0] > 99) * np.uint8(255)),
    "palette": (palette(), np.asarray(PIL.Image.fromarray(NOISE).convert("P").convert("RGB"))),
    "BMP": (saved(PIL.Image.fromarray(NOISE), "BMP"), NOISE),
    "TIFF": (saved(PIL.Image.fromarray(NOISE), "TIFF"), NOISE),
    "PPM": (saved(PIL.Image.fromarray(NOISE), "PPM"), NOISE),
    "WebP": (saved(PIL.Image.fromarray(NOISE), "WEBP", lossless=True), NOISE),
    "four bits": (png(2, 1, 4, 0, b"\0\x1f"), np.array([[17, 255]], np.uint8)),
}


@pytest.mark.parametrize("kind", EXACT)
def test_exact_values_stay_what_they_are(kind):
    data, expected = EXACT[kind]
    np.testing.assert_array_equal(decode_image(data, "x", rgb=False), expected)


def test_a_bomb_is_refused_before_it_is_decoded(monkeypatch):
    rows = zlib.compress(b"\0" * 1000)  # the rest would follow; nobody gets that far
    bomb = png(13_000, 13_000, 8, 0, b"")[:33] + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    monkeypatch.setattr(PIL.Image.Image, "load", lambda _: pytest.fail("decoded"))
    for plugin in ("PngImagePlugin.PngImageFile", "ImageFile.ImageFile"):
        module, _, name = plugin.partition(".")
        owner = getattr(__import__(f"PIL.{module}", fromlist=[name]), name)
        monkeypatch.setattr(owner, "load", lambda _: pytest.fail("decoded"))
    with pytest.raises(BenchError, match=r"at most \d+ pixels, got 13000 x 13000"):
        decode_image(bomb, "bomb.png", rgb=True)
    with pytest.raises(BenchError, match=r"expected 28 x 28 gray images, got 13000 x 13000 gray"):
        decode_image(bomb, "bomb.png", rgb=False, shape=(28, 28))


def test_a_format_that_nobody_asked_for_is_not_opened():
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n"
    with pytest.raises(BenchError, match="unknown format"):
        decode_image(eps, "x.eps", rgb=True)


def test_archives_and_packed_files_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(bounded, "MOST_BYTES", 10_000)
    monkeypatch.setattr(bounded, "MOST_UNPACKED", 50_000)
    (tmp_path / "a.gz").write_bytes(gzip.compress(bytes(20_000)))
    with pytest.raises(BenchError, match="at most 10000 bytes"):
        bounded.read_bounded(tmp_path / "a.gz")

    def tar(name, size):
        path = tmp_path / "a.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            info = tarfile.TarInfo(f"folder/{name}")
            info.size = size
            archive.addfile(info, io.BytesIO(bytes(size)))
        return path

    with pytest.raises(BenchError, match="files of at most 10000 bytes"):
        bounded.members_of(tar("wanted", 20_000), ["wanted"])
    with pytest.raises(BenchError, match="unpacks to at most 50000 bytes"):
        bounded.members_of(tar("other", 90_000), ["wanted"])
    assert bounded.members_of(tar("wanted", 5), ["wanted"]) == {"wanted": bytes(5)}


# ---------------------------------------------------------------- CIFAR-10-C


NOISY = registry.dataset("cifar10-c-gaussian-noise-3")


def corruptions(folder, count=4, **arrays):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (5 * count, 32, 32, 3), dtype=np.uint8)
    labels = np.tile(rng.integers(0, 10, count), 5).astype(np.uint8)
    for name, array in {"gaussian_noise": pixels, "labels": labels, **arrays}.items():
        np.save(folder / f"{name}.npy", array)
    return pixels, labels


@pytest.mark.parametrize("place", [".", "CIFAR-10-C", "cifar10_c"])
def test_cifar_10_c_gives_the_severity_that_its_entry_names(tmp_path, place):
    pixels, labels = corruptions(tmp_path / place)
    for severity in (1, 3, 5):
        options = {"corruption": "gaussian_noise", "severity": severity}
        entry = NOISY.model_copy(update={"test_count": 4, "options": options})
        images = load(entry, tmp_path)
        np.testing.assert_array_equal(images.pixels, pixels[4 * severity - 4 : 4 * severity])
        np.testing.assert_array_equal(images.labels, labels[:4])
        np.testing.assert_array_equal(images.ids, range(4))


BAD_CORRUPTIONS = {
    "floats": ({"gaussian_noise": np.zeros((20, 32, 32, 3), np.float32)}, "uint8"),
    "channels first": ({"gaussian_noise": np.zeros((20, 3, 32, 32), np.uint8)}, "20 x 32 x 32 x 3"),
    "one severity": ({"gaussian_noise": np.zeros((4, 32, 32, 3), np.uint8)}, r"got 4 x 32"),
    "few labels": ({"labels": np.zeros(4, np.int64)}, "expected 20 integers"),
    "label 10": ({"labels": np.full(20, 10)}, "labels from 0 to 9"),
    "objects": ({"labels": np.array([None] * 20)}, "array of NumPy's"),
}


@pytest.mark.parametrize("kind", BAD_CORRUPTIONS)
def test_other_arrays_are_one_line(tmp_path, kind):
    arrays, reason = BAD_CORRUPTIONS[kind]
    corruptions(tmp_path, **arrays)
    with pytest.raises(BenchError, match=reason):
        load(NOISY.model_copy(update={"test_count": 4}), tmp_path)


@pytest.mark.parametrize("options", [{}, {"corruption": "../x", "severity": 1},
                                     {"corruption": "fog", "severity": 6},
                                     {"corruption": "fog", "severity": "3"}])  # fmt: skip
def test_options_are_checked(tmp_path, options):
    with pytest.raises(BenchError, match="expected options"):
        load(NOISY.model_copy(update={"options": options}), tmp_path)


def test_no_training_split_and_no_hub(tmp_path):
    with pytest.raises(BenchError, match="train on cifar10"):
        load(NOISY, tmp_path, "train")
    with pytest.raises(BenchError, match=r"not on the hub.*--data-dir"):
        load_images(NOISY, "test", registry_dir=registry.registry_dir())
    with pytest.raises(BenchError, match=r"gaussian_noise\.npy and labels\.npy; found none"):
        load(NOISY, tmp_path)


def test_an_unknown_layout_is_one_line(tmp_path):
    with pytest.raises(BenchError, match=r"unknown layout 'foldr': did you mean 'folder'"):
        load(CIFAR.model_copy(update={"layouts": ("foldr",)}), tmp_path)


def test_raw_values_of_another_kind_are_refused(tmp_path):
    entry = made_up("mnist", 1)[0]
    for values in (np.full((28, 28), 300), np.full((28, 28), 0.5), np.full((28, 28), -1)):
        table = pa.table({"image": [values.tolist()], "label": [1]})
        pq.write_table(table, tmp_path / "test.parquet")
        with pytest.raises(BenchError, match="integers from 0 to 255"):
            load(entry, tmp_path).decode(0)
    assert cell_bytes(NOISE)
