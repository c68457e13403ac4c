"""The 20 images a data set that foolbox brings along (`foolbox/data/<set>_<id>_<label>.*`).

For MNIST, FashionMNIST, CIFAR-10 and CIFAR-100 they are the first 20 test images; for ImageNet
they are 20 photographs of 512 x 512 pixels, not images of the validation split.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import numpy as np

from bench.data.files import FileImages
from bench.entries.dataset import DatasetEntry
from bench.errors import BenchError


def read(entry: DatasetEntry) -> FileImages:
    """Return foolbox's sample images of a data set, their ids being 0 .. 19.

    Args:
        entry: the data set.

    Raises:
        BenchError: foolbox has no samples of it, or is not installed with its data.
    """
    if entry.samples is None:
        raise BenchError(
            f"expected a data set that foolbox brings samples of, got {entry.name}; "
            "give --data-dir, or --data hub"
        )
    pattern = re.compile(re.escape(entry.samples) + r"_(\d+)_(\d+)\.(?:png|jpg)")
    folder = _folder()
    found = sorted(
        (int(m[1]), int(m[2]), p) for p in folder.iterdir() if (m := pattern.match(p.name))
    )
    if not found:
        raise BenchError(
            f"expected sample images {entry.samples}_*, found none, in {folder}; reinstall foolbox"
        )
    ids, labels, files = zip(*found, strict=True)
    return FileImages(
        ids=np.array(ids, dtype=np.int64),
        labels=np.array(labels, dtype=np.int64),
        source=f"foolbox samples {entry.samples}",
        files=files,
        rgb=entry.transform,
    )


def _folder() -> Path:
    # finding the package does not import it: foolbox would bring torch
    spec = importlib.util.find_spec("foolbox")
    folder = Path(spec.origin).parent / "data" if spec and spec.origin else None
    if folder is None or not folder.is_dir():
        raise BenchError("expected foolbox with its sample images, found none; pip install foolbox")
    return folder
