"""The compact form of a result, as it is submitted: what a board needs, in few bytes.

The primary attack keeps its profiles sample by sample, as float16; of other attacks the side file
holds their means, and their numbers are rounded to float32. Further training seeds and untrained
twins hold the primary attack and the witnesses only, with the primary attack's mean profiles.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.entries.rules import Rules
from bench.metrics import METRICS
from bench.results import schema
from bench.results.store import read_metadata, read_rows
from bench.results.written import current_metadata, current_rows

PROFILES = tuple(m.name for m in METRICS if m.length is not None)
NUMBERS = tuple(m.name for m in METRICS if m.length is None)
LEVEL = 15
"""Of zstd."""


def compact_metadata(found: Mapping[str, Any], rules: Rules, name: str) -> dict[str, Any]:
    """Return a result's metadata, saying no more than its compact form holds.

    Args:
        found: of the result, of any version.
        rules: what it was measured under.
        name: `<model>[@random][@seedN]`.
    """
    kept = {*rules.needed(name), *rules.witnesses}
    result = current_metadata(found)
    for key in ("expected", "present"):
        counts = result.get(key)
        if isinstance(counts, Mapping):
            result[key] = {attack: n for attack, n in counts.items() if attack in kept}
    kept_of, measured = result.get("expected"), current_metadata(found).get("expected")
    present = result.get("present") or {}
    if kept_of and measured and len(kept_of) < len(measured):
        # of what the compact form holds
        result["complete"] = all(present.get(attack) == n for attack, n in kept_of.items())
    return result


def compact_rows(source: Path, rules: Rules, name: str) -> tuple[pa.Table, list[dict[str, Any]]]:
    """Return the rows of a result's compact form, and the side file's rows of mean profiles.

    Args:
        source: the result.
        rules: what it was measured under.
        name: `<model>[@random][@seedN]`.
    """
    table = current_rows(read_rows(source), read_metadata(source))
    attacks = [*rules.needed(name), *rules.witnesses]
    wanted = pa.array([*attacks, *(a for a in _names(table) if a not in rules.everything)])
    table = table.filter(pc.is_in(table["attack"].cast(pa.string()), wanted)).unify_dictionaries()
    whole = [] if "@" in name else [rules.primary]
    means = [
        row for attack in attacks if attack not in whole for row in _mean_profiles(table, attack)
    ]
    primary = np.asarray(table["attack"].cast(pa.string())) == rules.primary
    itself = np.isin(np.asarray(table["attack"].cast(pa.string())), whole)
    fields, arrays = [], []
    for field in schema.ROWS:
        column = table[field.name].combine_chunks()
        if field.name in PROFILES:
            kind = pa.list_(pa.float16(), field.type.list_size)
            field = pa.field(field.name, kind)
            column = pc.if_else(pa.array(itself), column, None).cast(kind)
        elif field.name in NUMBERS:
            values = column.to_numpy(zero_copy_only=False)
            rounded = values.astype(np.float32).astype(np.float64)
            column = pa.array(np.where(primary, values, rounded))
        fields.append(field)
        arrays.append(column)
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields)), means


def _names(table: pa.Table) -> list[str]:
    return [str(name) for name in pc.unique(table["attack"].cast(pa.string())).to_pylist()]


def _mean_profiles(table: pa.Table, attack: str) -> list[dict[str, Any]]:
    """An attack's mean profiles over its kept samples."""
    rows = table.filter(pc.equal(table["attack"].cast(pa.string()), attack))
    rfc = pc.fill_null(rows["rfc"], float("nan"))
    rows = rows.filter(pc.and_(pc.fill_null(rows["success"], False), pc.invert(pc.is_nan(rfc))))
    found = []
    for metric in METRICS:
        if metric.length is None or len(rows) == 0:
            continue
        column = rows[metric.name].combine_chunks()
        values = _profile_values(column, metric.length)
        if len(values) == len(rows):
            row: dict[str, Any] = {"attack": attack, "kind": metric.name, "n": len(rows)}
            found.append(row | {"shape": [metric.length], "values": values.mean(axis=0)})
    return found


def _profile_values(column: pa.Array, length: int) -> npt.NDArray[np.float64]:
    """Return (N', length) values of the rows that have the profile."""
    flat = column.flatten().fill_null(np.nan).to_numpy(zero_copy_only=False)
    values: npt.NDArray[np.float64] = flat.astype(np.float64).reshape(-1, length)
    return values


def write_rows(table: pa.Table, target: Path, metadata: Mapping[str, Any]) -> None:
    """Write compact rows: numbers split by byte, everything packed hard."""
    text = json.dumps(metadata, sort_keys=True)
    table = table.replace_schema_metadata({schema.METADATA_KEY: text})
    split = {f.name: "BYTE_STREAM_SPLIT" for f in table.schema if pa.types.is_float64(f.type)}
    split |= {f"{name}.list.element": "BYTE_STREAM_SPLIT" for name in PROFILES}
    names = [f.name for f in table.schema if pa.types.is_dictionary(f.type)]
    pq.write_table(
        table,
        target,
        compression="zstd",
        compression_level=LEVEL,
        use_dictionary=[*names, "status"],
        column_encoding=split,
        row_group_size=1 << 20,
    )


def write_extras(
    source: Path,
    target: Path,
    means: Sequence[Mapping[str, Any]],
    attacks: Collection[str],
    room: int,
    examples: bool,
) -> None:
    """Write the side file with as many example images as there is room for.

    Args:
        source: the result's side file.
        target: where to.
        means: rows of mean profiles.
        attacks: those that the compact form holds.
        room: bytes that the file may have.
        examples: whether example images belong to it.
    """
    there = [row for row in pq.read_table(source).to_pylist() if row["attack"] in attacks]
    made = {(row["attack"], row["kind"]) for row in means}
    # a source that is compact itself has means, and no profiles to make them of
    rows = [r for r in there if r["kind"] != "example" and (r["attack"], r["kind"]) not in made]
    rows += means
    shown = [row for row in there if row["kind"] == "example"] if examples else []
    # the last example of each attack goes first, so that every attack keeps some
    rank: dict[str, int] = {}
    order = []
    for row in shown:
        rank[row["attack"]] = rank.get(row["attack"], 0) + 1
        order.append((rank[row["attack"]], row))
    for most in range(max([r for r, _ in order], default=0), -1, -1):
        chosen = rows + [row for r, row in order if r <= most]
        chosen.sort(key=lambda row: list(attacks).index(row["attack"]))
        table = pa.Table.from_pylist(chosen, schema=schema.EXTRAS)
        pq.write_table(table, target, compression="zstd", compression_level=LEVEL)
        if target.stat().st_size <= room:
            return
