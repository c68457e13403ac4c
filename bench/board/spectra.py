"""What figures and page show of the spectra: profiles with bands, mean maps, example images."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.board.build import Table
from bench.entries import registry
from bench.grid import BINS, MAP_SIDE, frequency_grid
from bench.results.read import Submission
from bench.stats.bootstrap import Floats, percentile_interval, resample_counts, resampled_means

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Rings:
    """The native rings of an image size, each a run of the 64 radial bins.

    A small image has fewer distinct radii than 64, so single bins may be empty.

    Attributes:
        place: (64,) ring of each bin.
        radius: (R,) mean radius of a ring's frequencies, in units of Nyquist.
        share: (R,) share of all frequencies (DC excluded): the energy of white noise.
    """

    place: Array
    radius: Floats
    share: Floats


@cache
def rings(height: int, width: int) -> Rings:
    """Return the rings of an image size: about one for each pixel of the half diagonal."""
    number = max(1, min(BINS, int(min(height, width) / np.sqrt(2))))
    place = np.arange(BINS) * number // BINS
    ring = place[frequency_grid(height, width).bin[1:]]
    count = np.bincount(ring, minlength=number)
    total = np.bincount(ring, weights=frequency_grid(height, width).radius[1:], minlength=number)
    with np.errstate(invalid="ignore"):
        return Rings(place, total / count, count / count.sum())


@dataclass(frozen=True)
class Profile:
    """Mean energy per frequency on each ring, white noise being 1, with 95 % bands.

    Attributes:
        mean, low, high: (R,).
        n: kept samples.
    """

    mean: Floats
    low: Floats
    high: Floats
    n: int


def profiles(submission: Submission, attacks: Sequence[str]) -> dict[str, Profile]:
    """Return the radial profile of a submission under some attacks, where it exists."""
    file = pq.ParquetFile(submission.path, memory_map=True)
    table = file.read(columns=["attack", "sample_id", "success", "radial_energy"])
    valid = pc.and_(pc.fill_null(table["success"], False), table["radial_energy"].is_valid())
    table = table.filter(valid)
    names = table["attack"].cast(pa.string()).to_numpy()
    energy = table["radial_energy"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    values = energy.astype(np.float64).reshape(-1, BINS)
    sample = table["sample_id"].to_numpy()
    found = {}
    for attack in attacks:
        chosen = names == attack
        if chosen.any():
            found[attack] = _profile(submission, values[chosen], sample[chosen])
    return found


def _profile(submission: Submission, energy: Floats, sample: Array) -> Profile:
    ring = rings(*submission.input_shape[1:])
    ids = np.asarray(submission.rules.ids)
    relative = relative_to_white(energy, ring)
    order = np.argsort(ids)
    where = order[np.searchsorted(ids, sample, sorter=order).clip(max=len(ids) - 1)]
    values, kept = np.zeros((relative.shape[1], len(ids))), np.zeros(len(ids), dtype=bool)
    values[:, where], kept[where] = relative.T, True
    counts = resample_counts(len(ids), submission.rules.protocol.seed)
    mean, resampled = resampled_means(values, kept, counts)
    low, high = percentile_interval(resampled)
    return Profile(mean, low, high, int(kept.sum()))


def relative_to_white(energy: Floats, ring: Rings) -> Floats:
    """Return (N, R) energy per frequency over that of white noise, from (N, 64) shares."""
    belongs = ring.place[:, None] == np.arange(len(ring.share))
    result: Floats = energy @ belongs.astype(np.float64) / ring.share
    return result


# ---------------------------------------------------------------- side files


@dataclass(frozen=True)
class Example:
    """A sample image (C, H, W) in [0, 1] with its perturbation."""

    sample_id: int
    image: Array
    delta: Array


@dataclass(frozen=True)
class Extras:
    """The side file of a submission: attack -> (mean map, n); attack -> examples."""

    maps: Mapping[str, tuple[Array, int]]
    examples: Mapping[str, tuple[Example, ...]]


def extras(submission: Submission) -> Extras:
    """Return mean spectra and examples; empty without a side file.

    Raises:
        ValueError: the side file can't be read, or its arrays are not of the model's input.
    """
    path = submission.path.with_name(f"{submission.name}.extras.parquet")
    maps: dict[str, tuple[Array, int]] = {}
    examples: dict[str, list[Example]] = {}
    if not path.exists():
        return Extras({}, {})
    shape = submission.input_shape
    side = (min(shape[1], MAP_SIDE), min(shape[2], MAP_SIDE))
    try:
        for row in pq.read_table(path).to_pylist():
            attack, n = str(row["attack"]), int(row["n"])
            if row["kind"] == "spectrum" and n == 0:
                continue
            if row["kind"] == "spectrum":
                maps[attack] = (_finite(row["values"], side), n)
            else:
                image, delta = (_finite(row[name], shape) for name in ("values", "delta"))
                examples.setdefault(attack, []).append(Example(int(row["sample_id"]), image, delta))
    except (pa.ArrowException, OSError, TypeError, KeyError) as error:
        raise ValueError(f"unreadable side file: {error}") from None
    return Extras(maps, {name: tuple(found) for name, found in examples.items()})


def _finite(values: Any, shape: tuple[int, ...]) -> Array:
    found = np.asarray(values, dtype=np.float64).reshape(shape)
    if not np.isfinite(found).all():
        raise ValueError("a side file's values are not finite")
    return found


def clean_profile(table: Table, found: Mapping[str, Extras]) -> Profile | None:
    """Return the profile of the clean images: of the embedded ones, else of the examples.

    Args:
        table: whose images.
        found: model name -> side file.
    """
    images = _embedded(table)
    if images is None:
        shown = {
            e.sample_id: e.image for x in found.values() for v in x.examples.values() for e in v
        }
        if not shown:
            return None
        images = np.stack([shown[i] for i in sorted(shown)])
    ring = rings(*table.size)
    power = (np.abs(np.fft.fft2(images)) ** 2).sum(axis=1).reshape(len(images), -1)
    power[:, 0] = 0
    share = power / power.sum(axis=1, keepdims=True)
    place = ring.place[frequency_grid(*table.size).bin]
    sums = np.bincount(place, weights=share.mean(axis=0), minlength=len(ring.share))
    mean = sums / ring.share
    return Profile(mean, mean, mean, len(images))


def _embedded(table: Table) -> Array | None:
    """The data set's embedded images (N, C, H, W), if it has them in this table's size."""
    entry = table.rules.dataset
    path = registry.registry_dir() / (entry.embedded or "-")
    if entry.embedded is None or not path.exists() or table.size != (entry.size, entry.size):
        return None
    if entry.transform:
        return None
    file = pq.read_table(path, columns=["pixels"])
    shape = json.loads((file.schema.metadata or {}).get(b"shape", b"[]"))
    pixels = np.frombuffer(b"".join(file["pixels"].to_pylist()), dtype=np.uint8)
    images = pixels.reshape(len(file), *shape) / 255.0
    return images[:, None] if len(shape) == 2 else np.moveaxis(images, -1, 1)
