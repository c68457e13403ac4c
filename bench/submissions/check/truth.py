"""What the registry knows of a data set's images: labels and spectra of the embedded ones."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.data.arrays import ArrayImages
from bench.data.formats.embedded import find, read_file
from bench.entries import registry
from bench.entries.ids import places
from bench.entries.rules import Rules
from bench.grid import frequency_grid, power_without_dc
from bench.stats.bootstrap import Floats


def embedded(rules: Rules) -> Path | None:
    """Return the file of the data set's embedded images, if it has one."""
    return find(registry.registry_dir(), rules.dataset)


@cache
def _images(path: Path) -> ArrayImages:
    return read_file(path)


def true_labels(rules: Rules) -> npt.NDArray[np.int64] | None:
    """Return the labels of the protocol's ids (n,), where the images are embedded."""
    path = embedded(rules)
    if path is None:
        return None
    images = _images(path)
    place, known = places(images.ids, rules.ids)
    labels: npt.NDArray[np.int64] = images.labels[place]
    return labels if known.all() else None


@cache
def true_image_rfc(path: Path, ids: tuple[int, ...]) -> tuple[Floats, tuple[int, ...]] | None:
    """The RFC (n,) and shape (C, H, W) of embedded images; None if an id is not among them."""
    found = _images(path)
    place, known = places(found.ids, ids)
    if not known.all():
        return None
    images = found.fractions()[place]
    power = power_without_dc(images)
    rfc: Floats = power @ frequency_grid(*images.shape[2:]).radius / power.sum(axis=1)
    return rfc, images.shape[1:]
