"""Images in a `datasets.Dataset`: Arrow files, mapped into memory and decoded one by one."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.data.base import Images, Int64Array, UInt8Image
from bench.data.formats.class_names import class_order
from bench.data.formats.numbering import sample_ids
from bench.data.formats.shards import in_order, integer_labels, pick
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
    import pyarrow as pa
    import pyarrow.compute as pc

    image, label = (pick(dataset.column_names, names, source) for names in entry.columns)
    labels = integer_labels(dataset.data.column(label), label, source)
    names_of_labels = getattr(dataset.features[label], "names", None) or []
    order_of_labels = class_order(names_of_labels, entry, source)
    if order_of_labels is not None:
        labels = in_order(labels, order_of_labels, source)
    column = dataset.data.column(image)
    names: list[str | None] = [None] * len(labels)
    if pa.types.is_struct(column.type) and column.type.get_field_index("path") >= 0:
        names = pc.struct_field(column, "path").to_pylist()
    ids = sample_ids(names, entry, split, source)
    order = np.argsort(ids)
    images = dataset.select_columns([image])
    if isinstance(dataset.features[image], datasets.Image):
        images = images.cast_column(image, datasets.Image(decode=False))
    return HubImages(ids[order], labels[order], source, images, order.astype(np.int64), entry)
