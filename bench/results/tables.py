"""Blocks to Arrow tables: the rows and side tables of one block."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bench.results import schema
from bench.results.block import Block, CleanRows

Tables = Mapping[str, pa.Table]
"""What is written of one block: "rows", and a table for each side file."""


def block_tables(block: Block, constants: Mapping[str, str]) -> Tables:
    """Return everything that is written of one block: "rows" and its side files.

    Args:
        block: the measured block.
        constants: protocol, protocol_hash, model and dataset.
    """
    tables = {"extras": extras_table(block), "rows": rows_table(block, constants)}
    if block.lean is not None:
        tables["perturbations"] = perturbations_table(block)
    return tables


def conform(table: pa.Table, wanted: pa.Schema) -> pa.Table:
    """Return a table of an earlier version in the present schema: what it lacks is null."""
    there = table.column_names
    columns = [
        table[f.name].cast(f.type) if f.name in there else pa.nulls(len(table), f.type)
        for f in wanted
    ]
    return pa.Table.from_arrays(columns, schema=wanted)


def clean_table(rows: CleanRows) -> pa.Table:
    """Return the clean predictions of one block."""
    columns = [column(getattr(rows, field.name), field.type) for field in schema.CLEAN]
    return pa.Table.from_arrays(columns, schema=schema.CLEAN)


def rows_table(block: Block, constants: Mapping[str, str]) -> pa.Table:
    """Return the rows of one block.

    Args:
        block: the measured block.
        constants: protocol, protocol_hash, model and dataset.
    """
    count = len(block.sample_ids)
    same = {**constants, "attack": block.attack, "attack_hash": block.attack_hash}
    arrays = []
    for field in schema.ROWS:
        if field.name in same:
            indices = pa.array(np.zeros(count, dtype=np.int32))
            arrays.append(pa.DictionaryArray.from_arrays(indices, pa.array([same[field.name]])))
        elif field.name == "sample_id":
            arrays.append(pa.array(block.sample_ids, type=field.type))
        else:
            arrays.append(column(block.columns[field.name], field.type))
    return pa.Table.from_arrays(arrays, schema=schema.ROWS)


def column(values: npt.NDArray[Any], kind: pa.DataType) -> pa.Array:
    """Return measured values as a column; what is missing is null (numbers: NaN)."""
    if pa.types.is_fixed_size_list(kind):
        missing = np.isnan(values).all(axis=1)
        flat = pa.array(values.astype(np.float32).ravel())
        return pa.FixedSizeListArray.from_arrays(flat, type=kind, mask=pa.array(missing))
    if pa.types.is_integer(kind):
        return pa.array(values, type=kind, mask=values < 0)
    if pa.types.is_boolean(kind) and values.dtype == np.int8:
        return pa.array(values > 0, type=kind, mask=values < 0)
    return pa.array(values, type=kind)


def extras_table(block: Block) -> pa.Table:
    """Return the sum of p over the kept samples and the example images of one block."""
    rows: list[dict[str, Any]] = [
        {
            "attack": block.attack,
            "kind": "spectrum",
            "sample_id": None,
            "n": block.kept,
            "shape": list(block.spectrum_sum.shape),
            "values": block.spectrum_sum.astype(np.float32).ravel(),
            "delta": None,
        }
    ]
    for sample_id, image, delta in block.examples:
        rows.append(
            {
                "attack": block.attack,
                "kind": "example",
                "sample_id": sample_id,
                "n": 1,
                "shape": list(image.shape),
                "values": image.ravel(),
                "delta": delta.ravel(),
            }
        )
    return pa.Table.from_pylist(rows, schema=schema.EXTRAS)


def perturbations_table(block: Block) -> pa.Table:
    """Return every perturbation of one block."""
    assert block.lean is not None, "the block was run without keep_deltas"
    return pa.Table.from_pydict(
        {
            "attack": [block.attack] * len(block.delta_ids),
            "sample_id": list(block.delta_ids),
            "shape": [list(d.shape) for d in block.lean],
            "delta": [d.ravel() for d in block.lean],
            "bits": block.lean_bits,
        },
        schema=schema.PERTURBATIONS,
    )


def merge_extras(
    pieces: Iterable[tuple[pa.Table, bool]], examples: int, order: Sequence[str] = ()
) -> pa.Table:
    """Merge the extras of several pieces into one table: mean spectra and first examples.

    Args:
        pieces: tables of `schema.EXTRAS`, each with True if its spectra are means already
            (a finished file) and False if they are sums (a block). One is in memory at a time.
        examples: how many example images to keep for each attack.
        order: attacks in the order that they are to stand in; others follow as they come.
    """
    sums: dict[str, tuple[npt.NDArray[np.float64], int, list[int]]] = {}
    shown: dict[str, dict[int, dict[str, Any]]] = {attack: {} for attack in order}
    for table, is_mean in pieces:
        for place, kind in enumerate(table["kind"].to_pylist()):
            attack = table["attack"][place].as_py()
            best = shown.setdefault(attack, {})
            if kind == "example":
                sample = table["sample_id"][place].as_py()
                if sample not in best and (len(best) < examples or sample < max(best)):
                    best[sample] = table.slice(place, 1).to_pylist()[0]
                    shown[attack] = {i: best[i] for i in sorted(best)[:examples]}
            if kind != "spectrum":
                continue
            row = table.slice(place, 1).to_pylist()[0]
            values = np.asarray(row["values"], dtype=np.float64)
            if is_mean:
                values = values * row["n"] if row["n"] else np.zeros_like(values)
            before = sums.get(attack, (np.zeros_like(values), 0, row["shape"]))
            sums[attack] = (before[0] + values, before[1] + row["n"], row["shape"])
    rows: list[dict[str, Any]] = []
    for attack in (a for a in shown if a in sums):
        total, count, shape = sums[attack]
        mean = total / count if count else np.full_like(total, np.nan)
        rows.append(
            {"attack": attack, "kind": "spectrum", "n": count, "shape": shape, "values": mean}
        )
        rows.extend(shown[attack].values())
    return pa.Table.from_pylist(rows, schema=schema.EXTRAS)
