"""Smaller perturbations that others have sent: `<model>.challenge.parquet` beside a submission.

They lower the best known distance and nothing else: rows, and the spectra of rows, stay what the
protocol's attack found.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from bench.entries.ids import places
from bench.errors import BenchError
from bench.files import atomic
from bench.results.bounds import load_json
from bench.results.columns import read_columns
from bench.results.schema import METADATA_KEY

GAIN = 1e-3
"""A challenge must be shorter than the best known distance by this share of it: float32 and the
last step of a minimal attack, which grows it by up to as much, are worth no more."""
STATED = ("protocol", "dataset", "model", "weights_sha256")
"""Metadata keys that say whose rows are challenged."""
SENT = pa.schema(
    [
        pa.field("attack", pa.string()),
        pa.field("sample_id", pa.int64()),
        pa.field("shape", pa.list_(pa.int32())),
        pa.field("delta", pa.list_(pa.float32())),
    ]
)
"""What may be sent: as `--save-perturbations` writes it."""
KEPT = pa.schema(
    [*SENT, pa.field("norm", pa.float64()), pa.field("who", pa.string()),
     pa.field("added", pa.string())]
)  # fmt: skip
"""What is kept of it: `delta` as it was judged, its norm, who sent it, and when (UTC)."""

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Kept:
    """A perturbation that was accepted; `delta` is (C, H, W) float32."""

    attack: str
    sample_id: int
    delta: Array
    norm: float
    who: str
    added: str


@dataclass(frozen=True)
class Best:
    """The shortest distances that challenges found under one attack.

    Attributes:
        distance: (n,) in the order of the protocol's ids; NaN where there is none.
        who: (n,) object, who found it; "" where there is none.
    """

    distance: Array
    who: Array


def challenge_of(result: Path) -> Path:
    """Return the path of the challenges of a submission."""
    return result.with_name(f"{result.stem}.challenge.parquet")


def write_kept(path: Path, rows: Iterable[Kept], stated: Mapping[str, str]) -> None:
    """Write accepted perturbations, sorted; floats split by byte, packed hard."""
    kept = sorted(rows, key=lambda row: (row.attack, row.sample_id))
    columns = {
        "attack": [row.attack for row in kept],
        "sample_id": [row.sample_id for row in kept],
        "shape": [list(row.delta.shape) for row in kept],
        "delta": [row.delta.astype(np.float32).ravel() for row in kept],
        "norm": [row.norm for row in kept],
        "who": [row.who for row in kept],
        "added": [row.added for row in kept],
    }
    text = json.dumps({key: stated[key] for key in STATED}, sort_keys=True)
    table = pa.Table.from_pydict(columns, schema=KEPT).replace_schema_metadata({METADATA_KEY: text})
    with atomic(path) as temporary:
        pq.write_table(
            table,
            temporary,
            compression="zstd",
            compression_level=15,
            use_dictionary=["attack", "who", "added"],
            column_encoding={"delta.list.element": "BYTE_STREAM_SPLIT"},
        )


def read_kept(path: Path) -> tuple[list[Kept], dict[str, str]]:
    """Return what was accepted before, and whose rows it challenges; nothing without a file.

    Raises:
        BenchError: the file can't be read.
    """
    if not path.exists():
        return [], {}
    rows = read_columns(path, KEPT.names)
    found = []
    for place in range(len(rows)):
        row = rows.row(place)
        delta = np.asarray(row["delta"], dtype=np.float32).reshape(row["shape"])
        found.append(
            Kept(row["attack"], row["sample_id"], delta, row["norm"], row["who"], row["added"])
        )
    return found, stated(path)


def stated(path: Path) -> dict[str, str]:
    """Return whose rows a file challenges, as far as it says so.

    Raises:
        BenchError: its metadata can't be read.
    """
    try:
        raw = (pq.read_schema(path).metadata or {}).get(METADATA_KEY)
        found = {} if raw is None else load_json(raw)
    except (pa.ArrowException, OSError, ValueError) as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BenchError(f"expected readable challenges, found {text}, in {path}") from None
    wanted = (*STATED, "who")
    return {key: str(found[key]) for key in wanted if isinstance(found, dict) and key in found}


def best_known(result: Path, weights_sha256: str, ids: Sequence[int]) -> dict[str, Best]:
    """Return attack -> the shortest distances that challenges found of a submission's weights.

    Args:
        result: the submission's file.
        weights_sha256: of its metadata; challenges of other weights do not count.
        ids: the protocol's, in order.

    Raises:
        BenchError: the file of challenges can't be read.
    """
    path = challenge_of(result)
    if not path.exists() or stated(path).get("weights_sha256") != weights_sha256:
        return {}
    rows = read_columns(path, ["attack", "sample_id", "norm", "who"])
    place, known = places(np.asarray(ids), rows["sample_id"])
    found: dict[str, Best] = {}
    for row in np.flatnonzero(known & (rows["norm"] > 0)):
        attack = str(rows["attack"][row])
        if attack not in found:
            nobody = np.full(len(ids), "", dtype=object)
            found[attack] = Best(np.full(len(ids), np.nan), nobody)
        best, at = found[attack], place[row]
        if not best.distance[at] <= rows["norm"][row]:
            best.distance[at], best.who[at] = rows["norm"][row], str(rows["who"][row])
    return found
