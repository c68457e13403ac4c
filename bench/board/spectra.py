"""Radial profiles of a submission and of the clean images, with their bands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.board.table import Table
from bench.data.formats import embedded
from bench.entries import registry
from bench.entries.ids import places
from bench.figures.profiles import Profile
from bench.grid import BINS, frequency_grid, power_without_dc
from bench.results.columns import read_columns
from bench.results.extras import Extras, read_extras
from bench.results.read import Submission
from bench.results.schema import BROKEN
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


def profiles(submission: Submission, attacks: Sequence[str]) -> dict[str, Profile]:
    """Return the radial profile of a submission under some attacks, where it exists."""
    names = ["attack", "sample_id", "success", "status", "radial_energy"]
    rows = read_columns(submission.path, names)
    kept = rows["success"] & ~rows.null("radial_energy") & ~np.isin(rows["status"], BROKEN)
    energy = rows["radial_energy"]
    found = {}
    for attack in attacks:
        chosen = kept & (rows["attack"] == attack)
        if chosen.any():
            found[attack] = _profile(submission, energy[chosen], rows["sample_id"][chosen])
    side = submission.path.with_name(f"{submission.name}.extras.parquet")
    means = read_extras(side).energy if set(attacks) - found.keys() else {}
    for attack in attacks:
        if attack not in found and attack in means and means[attack][1]:
            found[attack] = _mean_profile(submission, *means[attack])
    return found


def _mean_profile(submission: Submission, energy: Array, n: int) -> Profile:
    """A profile of which only the mean is known: without a band."""
    mean = relative_to_white(energy[None], rings(*submission.input_shape[1:]))[0]
    nothing = np.full_like(mean, np.nan)
    return Profile(mean, nothing, nothing, n)


def _profile(submission: Submission, energy: Floats, sample: Array) -> Profile:
    ring = rings(*submission.input_shape[1:])
    ids = submission.rules.ids
    relative = relative_to_white(energy, ring)
    where, _ = places(ids, sample)
    values, kept = np.zeros((relative.shape[1], len(ids))), np.zeros(len(ids), dtype=bool)
    values[:, where], kept[where] = relative.T, True
    counts = resample_counts(len(ids), submission.rules.protocol.seed)
    mean, resampled = resampled_means(values, kept, counts)
    low, high = percentile_interval(resampled)
    if kept.sum() < 2:  # one sample has no interval
        low, high = np.full_like(low, np.nan), np.full_like(high, np.nan)
    return Profile(mean, low, high, int(kept.sum()))


def relative_to_white(energy: Floats, ring: Rings) -> Floats:
    """Return (N, R) energy per frequency over that of white noise, from (N, 64) shares."""
    belongs = ring.place[:, None] == np.arange(len(ring.share))
    result: Floats = energy @ belongs.astype(np.float64) / ring.share
    return result


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
    power = power_without_dc(images)
    share = power / power.sum(axis=1, keepdims=True)
    place = ring.place[frequency_grid(*table.size).bin]
    sums = np.bincount(place, weights=share.mean(axis=0), minlength=len(ring.share))
    mean = sums / ring.share
    return Profile(mean, mean, mean, len(images))


def _embedded(table: Table) -> Array | None:
    """The data set's embedded images (N, C, H, W), if it has them in this table's size."""
    entry = table.rules.dataset
    path = embedded.find(registry.registry_dir(), entry)
    if path is None or entry.transform or table.size != (entry.size, entry.size):
        return None
    return embedded.read_file(path).fractions()
