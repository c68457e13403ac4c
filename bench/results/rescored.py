"""Stored perturbations of a result, and its rows with other metrics."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.errors import BenchError
from bench.metrics import by_name
from bench.results import schema
from bench.results.columns import Columns
from bench.results.filesystem import FileSystem
from bench.results.provenance import commit, now, versions
from bench.results.store import BROKEN, Store
from bench.results.tables import column, conform
from bench.results.written import current_rows

BATCH = 64
"""Perturbations that are in memory at once."""


@dataclass(frozen=True)
class Saved:
    """Some stored perturbations of one attack.

    Attributes:
        attack: its name.
        sample_ids: (n,) int64.
        deltas: (n, C, H, W) float32.
        bits: (n,) int8, their precision: 16 or 32.
    """

    attack: str
    sample_ids: npt.NDArray[np.int64]
    deltas: npt.NDArray[np.float32]
    bits: npt.NDArray[np.int8]


def saved(files: FileSystem, key: str) -> Iterator[Saved]:
    """Give the perturbations of a file, some at a time, each of one attack.

    Raises:
        BenchError: there is no such file, or it is damaged.
    """
    where = files.where(key)
    if not files.exists(key):
        raise BenchError(
            f"expected stored perturbations at {where}, found none; `bench eval` with "
            "--save-perturbations writes them"
        )
    try:
        with files.open(key) as stream:
            for batch in pq.ParquetFile(stream).iter_batches(batch_size=BATCH):
                table = conform(pa.Table.from_batches([batch]), schema.PERTURBATIONS)
                for attack in dict.fromkeys(table["attack"].to_pylist()):
                    yield _of(table.filter(pc.equal(table["attack"], attack)), attack)
    except BROKEN as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BenchError(
            f"expected readable perturbations, found {text}, in {where}; measure them again"
        ) from None


def _of(table: pa.Table, attack: str) -> Saved:
    shapes = {tuple(shape) for shape in table["shape"].to_pylist()}
    if len(shapes) != 1:
        raise ValueError(f"perturbations of {len(shapes)} shapes")
    values = table["delta"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    deltas = np.array(values, dtype=np.float32).reshape(len(table), *shapes.pop())
    bits = table["bits"].fill_null(32).to_numpy().astype(np.int8)
    return Saved(attack, table["sample_id"].to_numpy(), deltas, bits)


class Rows:
    """The rows of a finished file, with some metrics replaced.

    Args:
        store: the result.
        metadata: of its file, in the present form.
    """

    def __init__(self, store: Store, metadata: Mapping[str, Any]) -> None:
        self.store, self.metadata = store, metadata
        self.version = store.files.version(store.address.file)
        self.table = current_rows(store.read(), metadata)
        self.columns = Columns(self.table)
        attacks = self.columns["attack"].tolist()
        ids = self.columns["sample_id"].tolist()
        self._places = {pair: i for i, pair in enumerate(zip(attacks, ids, strict=True))}

    def places(self, attack: str, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the rows of these samples, -1 where the file has none."""
        return np.array([self._places.get((attack, i), -1) for i in ids.tolist()], dtype=np.int64)

    def write(self, values: Mapping[str, npt.NDArray[Any]], stated: Mapping[str, int]) -> None:
        """Write the file again, all or nothing.

        Args:
            values: metric -> (N,) or (N, 64), NaN where it does not exist.
            stated: metric -> definition, what the file has now.

        Raises:
            BenchError: the file has changed meanwhile.
        """
        store, table = self.store, self.table
        for name, found in values.items():
            place = table.schema.get_field_index(name)
            field = schema.metric_field(by_name()[name])
            table = table.set_column(place, field, column(found, field.type))
        step = {"metrics": sorted(values), "made": now(), "git": commit(), "versions": versions()}
        steps: Sequence[Any] = self.metadata.get("rescored", [])
        known = {**self.metadata, "metrics": dict(stated), "rescored": [*steps, step]}
        raw = table.replace_schema_metadata({schema.METADATA_KEY: json.dumps(known)})
        if store.files.version(store.address.file) != self.version:
            raise BenchError(
                f"expected {store.where} as it was read, found that a run has replaced it "
                "meanwhile; give the command again"
            )
        with store.files.put(store.address.file) as stream:
            pq.write_table(raw, stream, compression="zstd")
