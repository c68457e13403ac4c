"""Images that the registry carries: one Parquet file of raw pixels.

Columns: sample_id int64, label int32, pixels fixed-size binary (H * W * C bytes); the schema
metadata key `shape` holds the JSON list [H, W] or [H, W, 3]. Raw bytes under zstd are smaller
than PNG for 28 x 28 images (436 against 465 kB for the first 1000 of FashionMNIST).
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np

from bench.data.arrays import ArrayImages
from bench.data.base import Images
from bench.entries.dataset import DatasetEntry
from bench.errors import BenchError

_COLUMNS = ["sample_id", "label", "pixels"]


def find(registry_dir: Path, entry: DatasetEntry) -> Path | None:
    """Return the file of a data set's embedded images, if the registry has one."""
    path = registry_dir / (entry.embedded or "-")
    return path if entry.embedded is not None and path.is_file() else None


def read(registry_dir: Path, entry: DatasetEntry) -> ArrayImages:
    """Return the embedded images of the test split.

    Args:
        registry_dir: the registry.
        entry: a data set whose `embedded` is not None.

    Raises:
        BenchError: the file is missing or damaged.
    """
    assert entry.embedded is not None, "only called for entries that embed images"
    return read_file(registry_dir / entry.embedded, f"embedded {entry.embedded}")


def read_file(path: Path, source: str = "embedded") -> ArrayImages:
    """Return the images of an embedded file.

    Args:
        path: the file.
        source: what to call it in metadata.

    Raises:
        BenchError: it is missing or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    advice = "reinstall the package, or name another source with --data"
    try:
        with pq.ParquetFile(path) as file:  # pq.read_table would import pandas, for a second
            table = file.read(columns=_COLUMNS)
        shape = tuple(json.loads(table.schema.metadata[b"shape"]))
    except FileNotFoundError:
        raise BenchError(f"expected the embedded images {path}, found no file; {advice}") from None
    except (pa.ArrowException, OSError, TypeError, KeyError, ValueError) as error:
        detail = " ".join(str(error).split())
        raise BenchError(
            f"expected embedded images, got a damaged file ({detail}), in {path}; {advice}"
        ) from None
    pixels = b"".join(table["pixels"].to_pylist())
    if len(pixels) != table.num_rows * math.prod(shape):
        raise BenchError(
            f"expected {table.num_rows} images of {shape}, got {len(pixels)} bytes, in {path}; "
            f"{advice}"
        )
    return ArrayImages(
        ids=np.array(table["sample_id"].to_pylist(), dtype=np.int64),
        labels=np.array(table["label"].to_pylist(), dtype=np.int64),
        source=source,
        pixels=np.frombuffer(pixels, dtype=np.uint8).reshape(table.num_rows, *shape),
    )


def write(path: Path, images: Images, count: int) -> None:
    """Write the first `count` images, all of one size, as an embedded file.

    Args:
        path: the Parquet file; its folder exists.
        images: where they come from.
        count: how many.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    pixels = [images.decode(position) for position in range(count)]
    shape = pixels[0].shape
    table = pa.table(
        {
            "sample_id": pa.array(images.ids[:count], pa.int64()),
            "label": pa.array(images.labels[:count], pa.int32()),
            "pixels": pa.array([p.tobytes() for p in pixels], pa.binary(math.prod(shape))),
        }
    ).replace_schema_metadata({"shape": json.dumps(list(shape))})
    pq.write_table(table, path, compression="zstd", compression_level=22, use_dictionary=False)
