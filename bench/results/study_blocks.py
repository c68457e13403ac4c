"""Files of studies: `<folder>/<study>/<block>.parquet`, one a finished block of cells.

One row per (cell, attack, epoch, sample_id). The label of a row is the class that the net itself
gives the clean image, so that every image is attacked, also where a net is untrained or wrong;
`clean_correct` says where that is the true class.

The metadata key `bench` holds JSON:

    schema_version, study, study_hash (the study's text when it was run), block, block_identity
    limit (null, or of a trial on the first images only)
    cells: name -> {
        cell: the cell (`bench.entries.study.Cell`), identity: its hash
        n_params, affine (true: exact minima of the collapsed map)
        through_map (true: trained through that map, `bench.models.affine`; not there: false)
        diverged (null, or {epoch, text}: training ended there, later checkpoints have no rows)
        curve: one an epoch of training, {epoch, learning_rate, train_loss, train_accuracy,
            test_accuracy}; the running means of the epoch, each batch before its step; percent
        points: one a checkpoint, {epoch, loss, accuracy, test_loss, test_accuracy, sha256};
            of the net as it was then, on the first `loss_samples` clean training images and on the
            whole test split; sha256: of the weights
        inputs (null, or what was done to images while training)
        loss_samples, train: {fingerprint, count}, test: {fingerprint, count}; whole splits,
            of planted images an epoch
        attacks: name -> its hash
        seconds: {train, measure} }
    device, threads, versions, git, started, ended
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from bench.errors import BenchError
from bench.results.schema import METADATA_KEY

STUDIES = "studies"
"""Folder of studies among those of protocols."""
VERSION = 1
"""Version of these files' layout, in their metadata."""

_WORD = pa.dictionary(pa.int16(), pa.string())

ROWS = pa.schema(
    [
        pa.field("cell", _WORD),
        pa.field("attack", _WORD),
        pa.field("epoch", pa.int16()),
        pa.field("sample_id", pa.int32()),
        pa.field("clean_correct", pa.bool_()),
        pa.field("status", _WORD),
        pa.field("l2", pa.float32()),
        pa.field("rfc", pa.float32()),
        pa.field("hfe", pa.float32()),
        pa.field("f50", pa.float32()),
        pa.field("dc_share", pa.float32()),
        pa.field("grad_rfc", pa.float32()),
        pa.field("margin", pa.float32()),
        pa.field("windowed_rfc", pa.float32()),
        pa.field("free_rfc", pa.float32()),
    ]
)
"""l2: norm of the perturbation, [0, 1] pixel units. rfc to grad_rfc: as in a result file.
margin: the net's logit of its own class minus its largest other logit, on the clean image.
windowed_rfc: RFC of the perturbation times a Hann window. free_rfc: RFC of the exact minimum
without the box [0, 1]; only of affine nets. Null where a quantity does not exist."""

STORED = pa.schema([pa.field(f.name, pa.string() if f.type == _WORD else f.type) for f in ROWS])
"""As the file has them."""
NUMBERS = tuple(field.name for field in ROWS if field.type == pa.float32())
FEW_VALUES = ("cell", "attack", "epoch", "status", "f50", "free_rfc")
BITS = 13
"""Significant bits of the numbers that are kept: rounded by at most 2^-13 of themselves."""
FEWER_BITS = {"dc_share": 9, "margin": 9}
"""Of numbers that weigh or sort others."""
MOST_BYTES = 400 * 1024
"""Of one file."""


@dataclass(frozen=True)
class StudyBlock:
    """One finished block.

    Attributes:
        rows: the columns of :data:`ROWS`.
        metadata: see the module's docstring.
    """

    rows: pa.Table
    metadata: Mapping[str, Any]

    def column(self, name: str) -> npt.NDArray[Any]:
        """Return a column, (N,): words as str objects, numbers as float64 with NaN for null."""
        values = self.rows[name]
        if pa.types.is_dictionary(values.type):
            return np.asarray(values.cast(pa.string()).to_pylist(), dtype=object)
        if name in NUMBERS:
            return np.asarray(values.to_numpy(), dtype=np.float64)
        return np.asarray(values.to_numpy())

    def kept(self) -> npt.NDArray[np.bool_]:
        """Return which rows enter means, (N,): attacked with success and classified correctly.

        Of untrained nets, and of those trained on shuffled labels, all that were attacked with
        success: what the true class is says nothing there.
        """
        free = {
            name
            for name, facts in self.metadata["cells"].items()
            if facts["cell"]["factors"]["data"] == "shuffled-labels"
        }
        cells, epochs = self.column("cell"), self.column("epoch")
        anyway = (epochs == 0) | np.isin(cells.astype(str), sorted(free))
        kept = np.asarray(self.column("status") == "ok", dtype=bool)
        kept &= self.column("clean_correct").astype(bool) | anyway
        return kept


def rounded(values: npt.NDArray[Any], keep: int = BITS) -> npt.NDArray[np.float32]:
    """Return numbers as float32 with so many significant bits, ties away from zero."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    drop = 24 - keep
    half = np.uint32(1 << (drop - 1))
    finite = np.isfinite(bits.view(np.float32))
    cut = ((bits + half) >> np.uint32(drop)) << np.uint32(drop)
    return np.where(finite, cut, bits).astype(np.uint32).view(np.float32)


def table(columns: Mapping[str, npt.NDArray[Any]]) -> pa.Table:
    """Return columns as an Arrow table: numbers rounded, NaN as null, absent numbers all null."""
    count = len(columns["sample_id"])
    arrays = []
    for field in ROWS:
        if field.name in NUMBERS:
            values = columns.get(field.name, np.full(count, np.nan))
            values = rounded(values, FEWER_BITS.get(field.name, BITS))
            arrays.append(pa.array(values, pa.float32(), from_pandas=True))
        elif field.type == _WORD:
            arrays.append(
                pa.array([str(v) for v in columns[field.name]]).dictionary_encode().cast(_WORD)
            )
        else:
            arrays.append(pa.array(columns[field.name], field.type))
    return pa.Table.from_arrays(arrays, schema=ROWS)


def joined(parts: Sequence[Sequence[StudyBlock]], metadata: Mapping[str, Any]) -> StudyBlock:
    """Return the rows of many parts as one block, in their order, under its own metadata."""
    rows = [part.rows for some in parts for part in some]
    together = pa.concat_tables(rows).unify_dictionaries().combine_chunks()
    return StudyBlock(together, metadata)


def write(stream: BinaryIO, block: StudyBlock) -> None:
    """Write a block's file into a stream; the same block gives the same bytes."""
    text = json.dumps({"schema_version": VERSION, **block.metadata}, sort_keys=True)
    split = {name: "BYTE_STREAM_SPLIT" for name in NUMBERS if name not in FEW_VALUES}
    with pq.ParquetWriter(
        stream,
        block.rows.schema,
        compression="zstd",
        compression_level=19,
        use_dictionary=list(FEW_VALUES),
        column_encoding={**split, "sample_id": "DELTA_BINARY_PACKED"},
        write_statistics=False,
        store_schema=False,  # it would hold the metadata once more; `read` knows the columns
    ) as writer:
        writer.write_table(block.rows)
        writer.add_key_value_metadata({METADATA_KEY: text.encode()})


def read(path: Path) -> StudyBlock:
    """Return a block.

    Raises:
        BenchError: there is no such file, or it is no block of a study.
    """
    try:
        file = pq.ParquetFile(io.BytesIO(path.read_bytes()))
        known = _metadata(file)
        rows = file.read().replace_schema_metadata(None).cast(ROWS)
        if set(rows["cell"].cast(pa.string()).unique().to_pylist()) - set(known["cells"]):
            raise ValueError("rows of cells that its metadata do not know")
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise _no_block(path, error) from None
    return StudyBlock(rows, known)


def metadata(path: Path) -> dict[str, Any]:
    """Return a block's metadata without reading its rows. Raises BenchError as `read` does."""
    try:
        with path.open("rb") as stream:
            return _metadata(pq.ParquetFile(stream))
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise _no_block(path, error) from None


def _metadata(file: pq.ParquetFile) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((file.metadata.metadata or {})[METADATA_KEY])
    if not file.schema_arrow.equals(STORED) or found["schema_version"] != VERSION:
        raise ValueError("other columns or another version")
    return found


def _no_block(path: Path, error: Exception) -> BenchError:
    reason = str(error).splitlines()[0] if str(error) else "unreadable"
    return BenchError(
        f"expected a block of a study, found {type(error).__name__} ({reason}), in {path}; remove "
        "it and run `bench study run` again"
    )


def block_file(folder: Path, study: str, block: str) -> Path:
    """Return where a block lies below a folder of studies."""
    return folder / study / f"{block}.parquet"
