"""How earlier versions wrote results, and what they are in the present form.

Version 1 had one class for all algorithms and wrote every key of it, also those of others; it did
not state the identity of its attacks, nor its metrics.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from bench.entries.attacks import AttackSettings
from bench.entries.rules import Rules, rules_for
from bench.errors import BenchError
from bench.metrics import FIRST, by_name, readable
from bench.results import schema

_VERSION_1: dict[str, Any] = {
    "algorithm": None,
    "norm": None,
    "steps": None,
    "implementation": "bench",
    "version": None,
    "epsilon": None,
    "epsilon_scale": "sum",
    "step_size": None,
    "step_scale": "relative",
    "random_start": False,
    "learning_rate": None,
    "learning_rate_decay": 0.5,
    "learning_rate_decays": 20,
    "momentum": 0.8,
    "overshoot": 1.1,
    "binary_search_steps": 10,
    "nominal_batch": 20,
}
"""Keys of version 1 with their defaults; `nearest_starts` stood there where it was not 0."""


def settings_as_written(settings: AttackSettings, schema_version: object) -> dict[str, Any]:
    """Return what a result of a schema version says of an attack under `attacks`, JSON-ready."""
    if schema_version != 1:
        return settings.model_dump(mode="json")
    form = {key: getattr(settings, key, default) for key, default in _VERSION_1.items()}
    starts = getattr(settings, "nearest_starts", 0)
    return form | ({"nearest_starts": starts} if starts else {})


def same_settings(stated: object, settings: AttackSettings, schema_version: int) -> bool:
    """Return whether a result's words on an attack are those of its settings.

    A key that came after the file was written may be left out, where it has its default.
    """
    wanted = settings_as_written(settings, schema_version)
    if schema_version == 1 or not isinstance(stated, Mapping):
        return stated == wanted
    return stated.keys() <= wanted.keys() and (
        {**wanted, **stated} == wanted and settings.normative().keys() <= stated.keys()
    )


def current_metadata(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return a result's metadata in the present form; as they are if nothing is known of them.

    Args:
        found: metadata of a result of this project, of any version.
    """
    known = _rules(found)
    if found.get("schema_version") != 1 or known is None:
        return dict(found)
    return {
        **found,
        "schema_version": schema.VERSION,
        "protocol_hash": known.hash,
        "attacks": {
            name: settings_as_written(settings, schema.VERSION)
            for name, settings in known.attacks.items()
        },
        "attack_hashes": {name: known.attack_hashes[name] for name in known.attacks},
        "metrics": dict(FIRST),
    }


def current_rows(table: pa.Table, metadata: Mapping[str, Any]) -> pa.Table:
    """Return a result's rows with the present columns.

    A metric that came later is null, and so is one whose column follows an earlier definition;
    the identity of an attack is derived where the file does not state it.

    Args:
        table: all columns of the rows, of any version.
        metadata: of their file.
    """
    table = table.unify_dictionaries().combine_chunks()
    now = current_metadata(metadata)
    stated = now.get("metrics")
    usable = {m.name for m in readable(stated if isinstance(stated, Mapping) else FIRST)}
    hashes = now.get("attack_hashes")
    known, columns = by_name(), []
    for field in schema.ROWS:
        there = field.name in table.column_names
        if field.name == "attack_hash" and not there:
            columns.append(_named(table, hashes if isinstance(hashes, Mapping) else {}))
        elif field.name == "protocol_hash":
            # a hash of before stands for the present one
            columns.append(_constant(str(now.get("protocol_hash")), len(table), field.type))
        elif there and (field.name not in known or field.name in usable):
            columns.append(table[field.name].cast(field.type))
        else:
            columns.append(pa.nulls(len(table), field.type))
    return pa.Table.from_arrays(columns, schema=schema.ROWS)


def _rules(metadata: Mapping[str, Any]) -> Rules | None:
    try:
        return rules_for(metadata)
    except BenchError:
        return None


def _constant(value: str, count: int, kind: pa.DataType) -> pa.Array:
    codes = pa.array(np.zeros(count, dtype=np.int32))
    return pa.DictionaryArray.from_arrays(codes, pa.array([value])).cast(kind)


def _named(table: pa.Table, hashes: Mapping[str, str]) -> pa.Array:
    """The identity of each row's attack; null where it is unknown."""
    attack = table["attack"].cast(pa.string())
    encoded = attack.combine_chunks().dictionary_encode()
    names = [hashes.get(name) for name in encoded.dictionary.to_pylist()]
    values = pa.array(names, pa.string()).take(encoded.indices)
    return values.dictionary_encode()
