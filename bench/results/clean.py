"""The file of clean predictions, `<model>.clean.parquet`, and its unmerged blocks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bench.files import atomic
from bench.results import schema
from bench.results.store import Store


@dataclass(frozen=True)
class CleanStore:
    """Where one model's clean predictions go.

    Attributes:
        result: path of the model's result file, beside which they lie.
    """

    result: Path

    @property
    def path(self) -> Path:
        """The finished file."""
        return Store(self.result).side("clean")

    @property
    def _store(self) -> Store:
        return Store(self.path)

    def clear(self) -> None:
        """Remove the file and its blocks."""
        self.path.unlink(missing_ok=True)
        shutil.rmtree(self._store.blocks, ignore_errors=True)

    def check(self, identity: Mapping[str, Any], overwrite: bool = False) -> None:
        """Raise BenchError if what is there is not ours or was made with something else."""
        self._store.check(identity, overwrite)

    def begin(self, identity: Mapping[str, Any]) -> None:
        """Claim the place for a run's blocks."""
        self._store.begin(identity)

    def started(self) -> str | None:
        """Return when the work on the present blocks began."""
        value = self._store.noted("started")
        return None if value is None else str(value)

    def unmerged(self) -> bool:
        """Return whether there are blocks that the finished file does not have yet."""
        return self._store.blocks.exists()

    def _pieces(self) -> list[Path]:
        finished = [self.path] if self.path.exists() else []
        return finished + sorted(self._store.blocks.glob("*.parquet"))

    def present(self) -> set[int]:
        """Return the sample ids that are done."""
        return {i for p in self._pieces() for i in pq.read_table(p)["sample_id"].to_pylist()}

    def write_block(self, columns: Mapping[str, Any]) -> None:
        """Write the predictions of some samples."""
        table = pa.Table.from_pydict(dict(columns), schema=schema.CLEAN)
        ids = table["sample_id"].to_pylist()
        path = self._store.blocks / f"{min(ids):08d}-{max(ids):08d}.parquet"
        with atomic(path) as temporary:
            pq.write_table(table, temporary, compression="zstd")

    def merged(self) -> pa.Table:
        """Return the rows of the finished file and of the blocks, by sample id."""
        pieces = [pq.read_table(p).cast(schema.CLEAN) for p in self._pieces()]
        return pa.concat_tables(pieces).sort_by("sample_id")

    def finish(self, table: pa.Table, metadata: Mapping[str, Any]) -> None:
        """Write the finished file, and remove the blocks that are in it now."""
        raw = schema.CLEAN.with_metadata({schema.METADATA_KEY: json.dumps(dict(metadata))})
        with atomic(self.path) as temporary:
            pq.write_table(table.cast(raw), temporary, compression="zstd")
        shutil.rmtree(self._store.blocks, ignore_errors=True)

    def read(self) -> pa.Table:
        """Return the finished file's rows."""
        return pq.read_table(self.path)
