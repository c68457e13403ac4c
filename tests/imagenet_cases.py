"""A tiny ImageNet: registry, and the same few images as class folders, official tar and Parquet."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
from conftest import REPOSITORY
from fabricate import cell_bytes

from bench.entries import registry
from bench.entries.dataset import DatasetEntry

VIT, RESNET = "test_vit.r160_in1k", "test_resnet.r160_in1k"
"""timm's own test models: some 0.4 million parameters, 160 pixels."""

Pixels = list[npt.NDArray[np.uint8]]


def small_imagenet(folder: Path, count: int, steps: int = 3) -> Path:
    """Make a registry whose ImageNet has `count` images and whose `short` protocol takes all."""
    source = REPOSITORY / "registry"
    folder.mkdir()
    for name in ("data", "checkpoints"):
        (folder / name).symlink_to(source / name)
    for name in ("models", "datasets", "protocols"):
        (folder / name).mkdir()
    text = (source / "datasets" / "imagenet.toml").read_text()
    text = re.sub(r"(?m)^test_count = .*$", f"test_count = {count}", text)
    text = re.sub(r'(?m)^labels = ".*$', "", text)
    text = text[: text.index("[fingerprints.labels_of]")]
    (folder / "datasets" / "imagenet.toml").write_text(text)
    for name in ("fashionmnist", "mnist", "cifar10"):
        (folder / "datasets" / f"{name}.toml").symlink_to(source / "datasets" / f"{name}.toml")
    text = (source / "protocols" / "caro2024.toml").read_text()
    text = text.replace('"list"', '"first"').replace('name = "caro2024"', 'name = "short"')
    text = re.sub(r"(?m)^file = .*$", "", text)
    text = re.sub(r"(?m)^count = .*$", f"count = {count}", text)
    text = re.sub(r"(?m)^steps = .*$", f"steps = {steps}", text)
    (folder / "protocols" / "short.toml").write_text(text)
    return folder


def photos(count: int, seed: int = 0) -> Pixels:
    """Return smooth images of several sizes, landscape and portrait."""
    rng = np.random.default_rng(seed)
    images = []
    for k in range(count):
        height, width = (180 + 7 * k, 240) if k % 2 else (230, 170 + 5 * k)
        coarse = rng.integers(0, 256, (8, 8, 3))
        fine = coarse[np.arange(height) * 8 // height][:, np.arange(width) * 8 // width]
        images.append((fine + rng.integers(0, 8, fine.shape)).clip(0, 255).astype(np.uint8))
    return images


def jpegs(pixels: Pixels) -> dict[str, bytes]:
    """Return the official file name of each image with its bytes."""
    return {
        f"ILSVRC2012_val_{k + 1:08d}.JPEG": cell_bytes(image, "JPEG")
        for k, image in enumerate(pixels)
    }


def write_folder(root: Path, files: dict[str, bytes], labels: list[int]) -> Path:
    """Write `val/<WordNet id>/<file>`."""
    folders = registry.dataset("imagenet").class_folders
    assert folders is not None
    for (name, data), label in zip(files.items(), labels, strict=True):
        path = root / "val" / folders[label] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def write_tar(root: Path, files: dict[str, bytes], labels: list[int]) -> Path:
    """Write the official archive with its list of labels, in the kit's own numbers."""
    translation = registry.dataset("imagenet").ground_truth_classes
    assert translation is not None
    (root / "flat").mkdir(parents=True)
    with tarfile.open(root / "ILSVRC2012_img_val.tar", "w") as archive:
        for name, data in files.items():
            (root / "flat" / name).write_bytes(data)
            archive.add(root / "flat" / name, name)
    numbers = [translation.index(label) + 1 for label in labels]
    (root / "ILSVRC2012_validation_ground_truth.txt").write_text(
        "".join(f"{number}\n" for number in numbers)
    )
    return root


def write_parquet(root: Path, files: dict[str, bytes], labels: list[int]) -> Path:
    """Write one shard as the hub has it: structs of bytes and file name."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    entry: DatasetEntry = registry.dataset("imagenet")
    cells = [{"bytes": data, "path": name} for name, data in files.items()]
    root.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        pa.table({entry.hub.image_column: cells, entry.hub.label_column: labels}),
        root / f"{entry.hub.test_split}-00000-of-00001.parquet",
    )
    return root


WRITERS = {"folder": write_folder, "tar": write_tar, "parquet": write_parquet}
