"""Where a result that is shown comes from: a frame, a file, or a name."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.entries import registry
from bench.entries.dataset import DatasetEntry
from bench.entries.protocol import Protocol
from bench.errors import BenchError, unknown_name
from bench.metrics import readable
from bench.results.columns import read_columns
from bench.results.extras import Extras, read_extras
from bench.results.read import is_result, open_submission
from bench.show.result import NEEDED, NUMBERS, Array, Result, rows_of

if TYPE_CHECKING:
    import pandas as pd

NAMES = ("model", "dataset", "protocol", "protocol_hash")
NOTHING = Extras({}, {}, {})


# ---------------------------------------------------------------- from a frame


def from_frame(table: pd.DataFrame) -> list[Result]:
    """Return the results in the rows of `evaluate`, one for each model, in their order.

    Raises:
        BenchError: these are no such rows.
    """
    missing = [name for name in (*NAMES, *NEEDED) if name not in table.columns]
    if missing:
        raise BenchError(
            f"expected the rows of bench.evaluate, found a table without {', '.join(missing)}; "
            "keep all columns"
        )
    if len(table) == 0:
        raise BenchError("expected rows of bench.evaluate, found none")
    made = table.attrs.get("bench")
    notes = made if isinstance(made, list) else []
    found = []
    for key, part in table.groupby(list(NAMES), sort=False, observed=True):
        names = dict(zip(NAMES, (str(one) for one in key), strict=True))
        note: Mapping[str, Any] = next((n for n in notes if n.get("model") == names["model"]), {})
        found.append(_from_part(names, part, note))
    return found


def _from_part(names: Mapping[str, str], part: pd.DataFrame, note: Mapping[str, Any]) -> Result:
    dataset, protocol = registry.dataset(names["dataset"]), registry.protocol(names["protocol"])
    if part.duplicated(["attack", "sample_id"]).any():
        raise BenchError(
            f"expected one row per attack and sample of {names['model']}, found several; drop the "
            "repeated ones"
        )
    try:
        columns: dict[str, Array] = {
            name: part[name].to_numpy(np.float64, na_value=np.nan) for name in NUMBERS
        }
        columns["sample_id"] = part["sample_id"].to_numpy(np.int64)
        for name in ("clean_correct", "success"):
            columns[name] = part[name].fillna(False).to_numpy(bool)
    except (TypeError, ValueError) as error:
        raise BenchError(f"expected the rows of bench.evaluate, found others: {error}") from None
    for name in ("attack", "status"):
        columns[name] = part[name].astype(str).to_numpy(str)
    if "radial_energy" in part.columns:
        columns["radial_energy"] = _profiles(part["radial_energy"])
    shape = note.get("input_shape") or (dataset.channels, dataset.size, dataset.size)
    where = note.get("file")
    return _result(names, dataset, protocol, columns, _size(shape), _extras(note), note, where)


def _profiles(column: pd.Series[Any]) -> Array:
    """(N, 64) energy shares, NaN where a row has none."""
    found = np.full((len(column), 64), np.nan)
    for place, value in enumerate(column):
        if value is not None and np.size(value) == 64:
            found[place] = np.asarray(value, dtype=np.float64)
    return found


def _extras(note: Mapping[str, Any]) -> Extras:
    """Return the mean spectra and examples that belong to rows, wherever they are."""
    if note.get("file"):
        return _side(Path(str(note["file"])))
    text = note.get("extras")
    if not text:
        return NOTHING
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder) / "x.extras.parquet"
        path.write_bytes(base64.b64decode(text))
        return _side(path.with_name("x.parquet"))


def _side(file: Path) -> Extras:
    try:
        return read_extras(file.with_name(f"{file.stem}.extras.parquet"))
    except ValueError:
        return NOTHING  # a damaged side file costs its pictures only


# ---------------------------------------------------------------- from a file


def from_file(path: Path) -> Result:
    """Return the result in a file, partial or not, compact or not.

    Raises:
        BenchError: it is no result, or of a protocol that is not the registry's.
    """
    opened = open_submission(path)
    meta, rules = opened.metadata, opened.rules
    stated = {metric.name for metric in readable(meta.metrics)}
    wanted = [*NEEDED, "radial_energy"]
    table = read_columns(path, [name for name in wanted if name not in NUMBERS or name in stated])
    columns = {name: table[name] for name in table.names}
    for name in NUMBERS:
        columns.setdefault(name, np.full(len(table), np.nan))
    names = {"model": opened.name, "protocol_hash": rules.hash}
    made = meta.as_json()
    size = _size(opened.input_shape)
    protocol, dataset = rules.protocol, rules.dataset
    return _result(names, dataset, protocol, columns, size, _side(path), made, str(path))


def _size(shape: Sequence[int]) -> tuple[int, int]:
    return int(shape[1]), int(shape[2])


def _result(
    names: Mapping[str, str],
    dataset: DatasetEntry,
    protocol: Protocol,
    columns: Mapping[str, Array],
    size: tuple[int, int],
    extras: Extras,
    made: Mapping[str, Any],
    where: str | None,
) -> Result:
    known = {**protocol.attacks, **protocol.witnesses}
    there = {str(name) for name in np.unique(columns["attack"])}
    attacks = {
        name: rows_of(columns, spec.norm, columns["attack"] == name)
        for name, spec in known.items()
        if name in there
    }
    if not attacks:
        raise BenchError(
            f"expected rows of attacks of protocol {protocol.name}, found "
            f"{', '.join(sorted(there)[:3]) or 'none'}; evaluate with its attacks"
        )
    return Result(
        names["model"],
        dataset,
        protocol,
        names["protocol_hash"],
        size,
        attacks,
        extras,
        made,
        where,
    )


# ---------------------------------------------------------------- from a name


def locate(name: str, folders: Sequence[Path], *, whole: bool = False) -> Path:
    """Return the file of a result: a path as it stands, or a model's result in the folders.

    In each folder a whole result goes before a partial one, the protocol that ranks before others.

    Args:
        name: a path, or a model's name.
        folders: where it is looked for; the first that has it decides.
        whole: a whole result in any of the folders goes before a partial one.

    Raises:
        BenchError: there is none, or nothing says which of several is meant.
    """
    if name.endswith(".parquet"):
        if not Path(name).is_file():
            raise BenchError(f"expected a result at {name}, found no file; check the path")
        if not is_result(Path(name)):
            raise BenchError(f"expected a result, got its side file {name}; name the result")
        return Path(name)
    everything: set[str] = set()
    roots = [root for folder in folders for root in (folder, folder / "partial")]
    if whole:
        roots = [*folders, *(folder / "partial" for folder in folders)]
    for root in roots:
        known = [path for path in sorted(root.glob("*/*/*.parquet")) if is_result(path)]
        everything |= {path.stem for path in known}
        found = [path for path in known if path.stem == name]
        ranking = [p for p in found if p.parent.parent.name == registry.default_protocol()]
        chosen = ranking or found
        if len(chosen) > 1:
            places = ", ".join(str(path) for path in chosen)
            raise BenchError(f"expected one result of {name!r}, found {places}; name the file")
        if chosen:
            return chosen[0]
    if not everything:
        places = " or ".join(map(str, folders))
        raise BenchError(
            f"expected a result of {name!r} in {places}, found no result at all; measure with "
            "`bench eval` first, or name the file"
        )
    raise unknown_name("result", name, everything)
