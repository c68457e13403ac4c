"""What the registry knows of a data set's images: labels and spectra of the embedded ones."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from bench.entries import registry
from bench.entries.rules import Rules
from bench.grid import frequency_grid
from bench.stats.bootstrap import Floats


def embedded(rules: Rules) -> Path | None:
    """Return the file of the data set's embedded images, if it has one."""
    entry = rules.dataset
    path = registry.registry_dir() / (entry.embedded or "-")
    return path if entry.embedded is not None and path.is_file() else None


def true_labels(rules: Rules) -> npt.NDArray[np.int64] | None:
    """Return the labels of the protocol's ids (n,), where the images are embedded."""
    path = embedded(rules)
    if path is None:
        return None
    found = pq.read_table(path, columns=["sample_id", "label"])
    labels = dict(zip(found["sample_id"].to_pylist(), found["label"].to_pylist(), strict=True))
    if not set(rules.ids) <= labels.keys():
        return None
    return np.array([labels[i] for i in rules.ids])


@cache
def true_image_rfc(path: Path, ids: tuple[int, ...]) -> tuple[Floats, tuple[int, ...]] | None:
    """The RFC (n,) and shape (C, H, W) of embedded images; None if an id is not among them."""
    found = pq.read_table(path, columns=["sample_id", "pixels"])
    shape = json.loads((found.schema.metadata or {}).get(b"shape", b"[]"))
    place = {int(i): p for p, i in enumerate(found["sample_id"].to_pylist())}
    if not set(ids) <= place.keys():
        return None
    pixels = np.frombuffer(b"".join(found["pixels"].to_pylist()), dtype=np.uint8)
    images = pixels.reshape(len(found), *shape)[[place[i] for i in ids]] / 255.0
    images = images[:, None] if images.ndim == 3 else np.moveaxis(images, -1, 1)
    power = (np.abs(np.fft.fft2(images)) ** 2).sum(axis=1).reshape(len(images), -1)
    power[:, 0] = 0
    rfc: Floats = power @ frequency_grid(*images.shape[2:]).radius / power.sum(axis=1)
    return rfc, images.shape[1:]
