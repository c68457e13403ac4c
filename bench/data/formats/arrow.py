"""Images in a `datasets.Dataset`: Arrow files, mapped into memory and decoded one by one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.base import Images, Int64Array, UInt8Image
from bench.data.formats.class_names import class_order
from bench.data.formats.numbering import sample_ids
from bench.data.formats.shards import in_order, integer_labels, path_names, pick
from bench.data.pixels import to_pixels
from bench.entries.dataset import DatasetEntry


class HubImages(Images):
    """The rows of a memory-mapped `datasets.Dataset`."""

    def __init__(
        self,
        ids: Int64Array,
        labels: Int64Array,
        source: str,
        dataset: Any,
        rows: Int64Array,
        entry: DatasetEntry,
    ) -> None:
        """Keep the images' column and the row of each image.

        Args:
            ids: (N,) sample ids, increasing.
            labels: (N,) class indices.
            source: where they came from.
            dataset: `datasets.Dataset` with the image column only, not decoding.
            rows: (N,) row of each image.
            entry: the data set.
        """
        self.ids, self.labels, self.source = ids, labels, source
        self._dataset, self._rows, self._entry = dataset, rows, entry

    def decode(self, position: int) -> UInt8Image:
        """Return the image, (H, W) or (H, W, 3) uint8. Raises BenchError if it is broken."""
        (cell,) = self._dataset[int(self._rows[position])].values()
        return to_pixels(cell, self._entry, self.where(position))

    def where(self, position: int) -> str:
        """Return row and source of the image."""
        return f"row {int(self._rows[position])} of {self.source}"


def read_files(
    files: Sequence[Path], entry: DatasetEntry, split: str, source: str
) -> HubImages | None:
    """Return the images of Arrow files that `datasets` wrote; None if they are not whole.

    Args:
        files: in order.
        entry: the data set.
        split: "test" or "train".
        source: where they came from, for the metadata.

    Raises:
        BenchError: a column is missing, or labels are not integers.
    """
    import datasets
    import pyarrow as pa

    try:
        parts = [datasets.Dataset.from_file(str(path)) for path in files]
    except (pa.ArrowException, OSError):
        return None  # an interrupted preparation
    return from_dataset(datasets.concatenate_datasets(parts), entry, split, source)


def from_dataset(dataset: Any, entry: DatasetEntry, split: str, source: str) -> HubImages:
    """Return the images of a dataset in the order of their ids.

    Args:
        dataset: `datasets.Dataset` as the hub's Parquet files give it.
        entry: the data set.
        split: "test" or "train".
        source: where it came from, for the metadata.

    Raises:
        BenchError: a column is missing, or labels are not integers.
    """
    import datasets

    image, label = (pick(dataset.column_names, names, source) for names in entry.columns)
    labels = integer_labels(dataset.data.column(label), label, source)
    names_of_labels = getattr(dataset.features[label], "names", None) or []
    order_of_labels = class_order(names_of_labels, entry, source)
    if order_of_labels is not None:
        labels = in_order(labels, order_of_labels, source)
    ids = sample_ids(path_names(dataset.data.column(image)), entry, split, source)
    order = np.argsort(ids)
    images = dataset.select_columns([image])
    if isinstance(dataset.features[image], datasets.Image):
        images = images.cast_column(image, datasets.Image(decode=False))
    return HubImages(ids[order], labels[order], source, images, order.astype(np.int64), entry)
