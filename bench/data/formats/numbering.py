"""Sample ids: the index of an image in its split, whatever order a source has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath

import numpy as np

from bench.data.base import Int64Array
from bench.entries.dataset import DatasetEntry
from bench.errors import BenchError


def sample_ids(
    names: Sequence[str | None], entry: DatasetEntry, split: str, source: str
) -> Int64Array:
    """Return the sample id of each image of a source.

    ImageNet's validation images have numbers in their official names, and class folders or
    shuffled shards change the order: there the number counts, less one. Elsewhere the order of
    the source does.

    Args:
        names: (N,) file names or paths in the order of the source, None where one is unknown.
        entry: the data set.
        split: "test" or "train".
        source: where the names came from, for errors.

    Returns:
        (N,) int64 ids, not necessarily increasing.

    Raises:
        BenchError: the entry wants numbers and a name has none, or two the same.
    """
    if split != "test" or entry.id_pattern is None:
        return np.arange(len(names), dtype=np.int64)
    pattern = re.compile(entry.id_pattern)
    ids = np.empty(len(names), dtype=np.int64)
    for position, name in enumerate(names):
        match = pattern.search(PurePath(name or "").name)
        number = int(match[1]) if match else 0
        if not 1 <= number <= entry.test_count:
            raise BenchError(
                f"expected official file names ({entry.id_pattern}, 1 to {entry.test_count}), "
                f"got {name!r}, in {source}; the number is the sample id, so keep the names"
            )
        ids[position] = number - 1
    _check_unique(ids, names, source)
    return ids


def _check_unique(ids: Int64Array, names: Sequence[str | None], source: str) -> None:
    order = np.argsort(ids, kind="stable")
    same = np.flatnonzero(ids[order][1:] == ids[order][:-1])
    if len(same):
        first, second = (names[int(order[same[0] + k])] for k in (0, 1))
        raise BenchError(
            f"expected each image once, got {first!r} and {second!r} with the same number, "
            f"in {source}; remove one"
        )
