"""Finding and reading the registry's TOML files; names to validated entries.

A file's stem is its entry's name. Nothing is read before it is asked for, and nothing
heavy is imported: `bench list` and `bench --help` end here.
"""

from __future__ import annotations

import fnmatch
import os
import re
import tomllib
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from bench.entries.dataset import DatasetEntry
from bench.entries.fields import Frozen
from bench.entries.model import ModelEntry
from bench.entries.protocol import Protocol
from bench.errors import BenchError, unknown_name

E = TypeVar("E", ModelEntry, DatasetEntry, Protocol)

_SERIES = re.compile(r"^(?P<head>.+-local-conv)-k(?P<k>[0-9]{1,3})(?P<tail>-relu)?$")


def registry_dir() -> Path:
    """Return the folder of the registry.

    It is inside the package in an installed wheel, else in the checkout. The environment
    variable BENCH_REGISTRY names another one.

    Raises:
        BenchError: there is none.
    """
    other = os.environ.get("BENCH_REGISTRY")
    if other:
        if not (Path(other) / "models").is_dir():
            raise BenchError(
                f"expected a registry (with a folder models/) in BENCH_REGISTRY = {other}, found "
                "none; correct or unset the variable"
            )
        return Path(other)
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "_registry", package.parent / "registry"):
        if folder.is_dir():
            return folder
    raise BenchError(
        f"expected the registry in {package / '_registry'} or {package.parent / 'registry'}, "
        "found neither; reinstall frequency-bench"
    )


# ---------------------------------------------------------------- reading one file


def read_entry(path: Path, kind: type[E]) -> E:
    """Read and validate one TOML file.

    Args:
        path: the file.
        kind: the class of entry that it holds.

    Raises:
        BenchError: the file is missing, not TOML, or says something it must not; the text
            names file, key, what was expected and what was found.
    """
    entry = _validated(_parse(path), path, kind)
    if entry.name != path.stem:
        raise BenchError(
            f"{path}: expected name = {path.stem!r} (the file's name), found {entry.name!r}; "
            "rename the file or the entry"
        )
    return entry


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BenchError(f"{path}: expected a readable TOML file: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BenchError(f"{path}: expected TOML, found a syntax error: {error}") from None


def _validated(data: dict[str, Any], path: Path, kind: type[E]) -> E:
    try:
        return kind.model_validate_json(_to_json(data))
    except ValidationError as error:
        raise BenchError(_first_problem(error, path)) from None


def _to_json(data: dict[str, Any]) -> str:
    """TOML arrays and dates become what strict JSON validation takes (tuples from lists)."""
    import json

    return json.dumps(data, default=str)


def _first_problem(error: ValidationError, path: Path) -> str:
    problems = error.errors(include_url=False)
    first = problems[0]
    key = ".".join(str(part) for part in first["loc"]) or "the file"
    found = "" if first["type"] == "missing" else f", found {_short(first['input'])}"
    message = first["msg"].removeprefix("Value error, ")
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{path}: {key}: {message[0].lower() + message[1:]}{found}{more}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


# ---------------------------------------------------------------- the folders


@cache
def _files(kind: str, root: Path) -> dict[str, Path]:
    """Name -> file of one kind of entry ("models", "datasets", "protocols")."""
    found: dict[str, Path] = {}
    for path in sorted((root / kind).rglob("*.toml")):
        if path.stem in found:
            raise BenchError(
                f"{path}: expected one file an entry, found {found[path.stem]} of the same name"
            )
        found[path.stem] = path
    return found


@cache
def _read(path: Path, kind: type[Frozen]) -> Any:
    return read_entry(path, kind)  # type: ignore[type-var]


def model_names() -> list[str]:
    """Return the names of all model entries, sorted."""
    return sorted(_files("models", registry_dir()))


def dataset_names() -> list[str]:
    """Return the names of all data-set entries, sorted."""
    return sorted(_files("datasets", registry_dir()))


def protocol_names() -> list[str]:
    """Return the names of all protocols, sorted."""
    return sorted(_files("protocols", registry_dir()))


def dataset(name: str) -> DatasetEntry:
    """Return one data-set entry. Raises BenchError with the nearest names if unknown."""
    files = _files("datasets", registry_dir())
    if name not in files:
        raise unknown_name("dataset", name, files)
    entry: DatasetEntry = _read(files[name], DatasetEntry)
    return entry


def protocol(name: str) -> Protocol:
    """Return one protocol, its id lists filled in. Raises BenchError if unknown."""
    files = _files("protocols", registry_dir())
    if name not in files:
        raise unknown_name("protocol", name, files)
    return _protocol(files[name])


@cache
def _protocol(path: Path) -> Protocol:
    return with_ids(_read(path, Protocol))


def with_ids(found: Protocol) -> Protocol:
    """Return a protocol with the ids of its lists filled in.

    Raises:
        BenchError: a list is missing or not of that many different ids.
    """
    selection = {
        key: chosen.model_copy(update={"ids": _read_ids(chosen.file, chosen.count, key)})
        if chosen.rule == "list"
        else chosen
        for key, chosen in found.selection.items()
    }
    return found.model_copy(update={"selection": selection})


RANKING = ("minimal2026", "caro2024")
"""Protocols that may rank, best first: a board ranks under the first one that the registry has."""


def ranks(found: Protocol) -> bool:
    """Return whether a board ranks under a protocol; under all others it only shows numbers."""
    known = protocol_names()
    first = next((name for name in RANKING if name in known), None)
    return found.ranks and found.name == first


def earlier_hashes(protocol_name: str, dataset_name: str) -> tuple[str, ...]:
    """Return hashes of a protocol on a data set that earlier results state and that still hold."""
    known = _earlier(registry_dir() / "earlier-hashes.toml")
    return tuple(known.get(protocol_name, {}).get(dataset_name, ()))


@cache
def _earlier(path: Path) -> dict[str, dict[str, list[str]]]:
    return _parse(path) if path.exists() else {}


def _read_ids(file: str | None, count: int, key: str) -> tuple[int, ...]:
    if file is None:
        raise BenchError(f'selection.{key}: rule = "list" needs the key "file"')
    path = registry_dir() / file
    try:
        ids = tuple(int(line) for line in path.read_text(encoding="ascii").split())
    except (OSError, ValueError) as error:
        raise BenchError(f"{path}: expected one sample id a line: {error}") from None
    if len(ids) != count or len(set(ids)) != count or min(ids) < 0:
        raise BenchError(f"{path}: expected {count} different ids >= 0, found {len(set(ids))}")
    return ids


# ---------------------------------------------------------------- models


def model(name: str) -> ModelEntry:
    """Return one model entry.

    Besides the registry's names this takes a name of the kernel-size series
    (`fashionmnist-local-conv-k7-relu`), the path of a TOML file, and any timm `arch.tag`
    (whether timm has it is known only when it is built).

    Raises:
        BenchError: unknown, with the nearest names.
    """
    files = _files("models", registry_dir())
    if name in files:
        entry: ModelEntry = _read(files[name], ModelEntry)
        return entry
    if name.endswith(".toml"):
        return read_entry(Path(name), ModelEntry)
    series = _from_series(name, files)
    if series is not None:
        return series
    if re.fullmatch(r"[a-z0-9_]+\.[A-Za-z0-9_]+", name):
        return timm_entry(name)
    raise unknown_name("model", name, files)


def _from_series(name: str, files: dict[str, Path]) -> ModelEntry | None:
    """Derive an entry of the kernel-size series from the local net that it varies."""
    match = _SERIES.match(name)
    base_name = f"{match['head']}{match['tail'] or ''}" if match else ""
    if match is None or base_name not in files:
        return None
    base: ModelEntry = _read(files[base_name], ModelEntry)
    kernel, size = int(match["k"]), dataset(base.dataset).size
    if kernel != size and (kernel % 2 == 0 or not 1 <= kernel < size):
        raise BenchError(
            f"model {name!r}: expected an odd kernel size below {size} or {size} itself "
            f"(the image size), found {kernel}"
        )
    assert base.net is not None, "the local nets have source = net"
    net = base.net.model_copy(update={"kernel_size": kernel})
    return base.model_copy(update={"name": name, "net": net, "weights": None, "paper": None})


def timm_entry(tag: str) -> ModelEntry:
    """Return the entry of a timm model that the registry does not have."""
    return ModelEntry(
        name=tag,
        source="timm",
        dataset="imagenet",
        family=tag.split(".")[0].split("_")[0],
        type="Other",
        tag=tag,
    )


def select_models(patterns: Sequence[str], dataset_name: str | None = None) -> list[ModelEntry]:
    """Return the entries that names and glob patterns choose, without repeats, in order.

    Args:
        patterns: names or patterns ("fashionmnist-*").
        dataset_name: keep a pattern's models of this data set only; a plain name is kept.

    Raises:
        BenchError: a name is unknown, or a pattern chooses nothing.
    """
    chosen: dict[str, ModelEntry] = {}
    for pattern in patterns:
        for entry in _matching(pattern, dataset_name):
            chosen.setdefault(entry.name, entry)
    return list(chosen.values())


def _matching(pattern: str, dataset_name: str | None) -> Iterable[ModelEntry]:
    if not any(sign in pattern for sign in "*?["):
        return [model(pattern)]
    names = fnmatch.filter(model_names(), pattern)
    found = [model(name) for name in names]
    if dataset_name is not None:
        found = [entry for entry in found if entry.dataset == dataset_name]
    if not found:
        where = f" of data set {dataset_name!r}" if dataset_name else ""
        raise BenchError(
            f"pattern {pattern!r} matches no model{where}; `bench list models` shows all names"
        )
    return found
