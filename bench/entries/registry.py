"""Finding and reading the registry's TOML files; names to validated entries.

A file's stem is its entry's name. Nothing is read before it is asked for, and nothing
heavy is imported: `bench list` and `bench --help` end here.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.entries.dataset import DatasetEntry
from bench.entries.fields import Frozen
from bench.entries.like import inherited, subset
from bench.entries.model import ModelEntry
from bench.entries.protocol import Protocol
from bench.entries.read import entry_of, first_problem, parse, read_entry, short
from bench.entries.study import Study
from bench.errors import BenchError, unknown_name

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


def forget() -> None:
    """Forget what was read, after a file of the registry has changed."""
    for remembered in (_files, _read, _dataset, _protocol, _earlier):
        remembered.cache_clear()


# ---------------------------------------------------------------- the folders


@cache
def _files(kind: str, root: Path) -> dict[str, Path]:
    """Name -> file of one kind of entry ("models", "datasets", "protocols", "studies")."""
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


def study_names() -> list[str]:
    """Return the names of all studies, sorted."""
    return sorted(_files("studies", registry_dir()))


def study(name: str) -> Study:
    """Return one study, by its name or the path of a TOML file. Raises BenchError if unknown."""
    if name.endswith(".toml"):
        return read_entry(Path(name), Study)
    files = _files("studies", registry_dir())
    if name not in files:
        raise unknown_name("study", name, files)
    found: Study = _read(files[name], Study)
    return found


def dataset(name: str) -> DatasetEntry:
    """Return one data-set entry. Raises BenchError with the nearest names if unknown."""
    files = _files("datasets", registry_dir())
    if name not in files:
        raise unknown_name("dataset", name, files)
    return _dataset(files[name])


@cache
def _dataset(path: Path) -> DatasetEntry:
    """Read a data set's entry; one that is like another has the same classes and size."""
    raw = parse(path)
    base_name = raw.get("like")
    if base_name is None:
        return read_entry(path, DatasetEntry)
    files = _files("datasets", registry_dir())
    if not isinstance(base_name, str) or base_name not in files or base_name == path.stem:
        raise BenchError(f"{path}: like: expected another data set, found {short(base_name)}")
    if "like" in parse(files[base_name]):
        raise BenchError(
            f"{path}: like: expected a data set of its own, found {base_name!r}, which is itself "
            "like another; name that one"
        )
    base = dataset(base_name)
    entry = entry_of({**inherited(base, raw), **raw}, path, DatasetEntry)
    for key in ("channels", "transform", "size", "classes"):
        theirs = subset(getattr(base, key), raw) if key == "classes" else getattr(base, key)
        if getattr(entry, key) != theirs and not (key == "size" and base.transform):
            raise BenchError(
                f"{path}: {key}: expected those of {base_name!r}, which it is like, found others; "
                "leave the key out"
            )
    return entry


def trained_on(entry: DatasetEntry) -> DatasetEntry:
    """Return the data set that the models of this one were trained on: what it is like, or it."""
    return entry if entry.like is None else dataset(entry.like)


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


def default_protocol() -> str:
    """Return the protocol that is meant where none is named: the one that ranks.

    Raises:
        BenchError: the registry has none of them.
    """
    known = protocol_names()
    first = next((name for name in RANKING if name in known), None)
    if first is None:
        raise BenchError(
            f"expected one of the protocols {', '.join(RANKING)} in the registry, found "
            f"{', '.join(known) or 'none'}; name one with --protocol"
        )
    return first


def ranks(found: Protocol) -> bool:
    """Return whether a board ranks under a protocol; under all others it only shows numbers."""
    return found.ranks and found.name in RANKING and found.name == default_protocol()


def earlier_hashes(protocol_name: str, dataset_name: str) -> tuple[str, ...]:
    """Return hashes of a protocol on a data set that earlier results state and that still hold."""
    known = _earlier(registry_dir() / "earlier-hashes.toml")
    return tuple(known.get(protocol_name, {}).get(dataset_name, ()))


@cache
def _earlier(path: Path) -> dict[str, dict[str, list[str]]]:
    return parse(path) if path.exists() else {}


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

    Besides the registry's names this takes a further training seed of an entry (`<name>@seed1`),
    a name of the kernel-size series (`fashionmnist-local-conv-k7-relu`), the path of a TOML file,
    and any timm `arch.tag` (whether timm has it is known only when it is built).

    Raises:
        BenchError: unknown, with the nearest names.
    """
    files = _files("models", registry_dir())
    if name in files:
        entry: ModelEntry = _read(files[name], ModelEntry)
        return entry
    if name.endswith(".toml"):
        return read_entry(Path(name), ModelEntry)
    base, mark, number = name.partition("@seed")
    if mark and number.isdecimal():
        return _at_seed(model(base), int(number))
    series = _from_series(name, files)
    if series is not None:
        return series
    if re.fullmatch(r"[a-z0-9_]+\.[A-Za-z0-9_]+", name):
        return timm_entry(name)
    raise unknown_name("model", name, files)


def _at_seed(entry: ModelEntry, number: int) -> ModelEntry:
    """Return the entry of a training seed; the entry itself for the seed of its own weights."""
    own = entry.weights.seed if entry.weights is not None else None
    if number == (own or 0):
        return entry
    found = entry.at_seed(number)
    if found is None:
        listed = ", ".join(str(s.seed) for s in entry.seeds) or "no further ones"
        raise BenchError(
            f"expected a training seed that the entry of {entry.name!r} lists ({listed}), found "
            f"{number}; add it under [[seeds]], or give its weights with --weights PATH"
        )
    return found


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
    return base.model_copy(
        update={"name": name, "net": net, "weights": None, "paper": None, "seeds": ()}
    )


def timm_entry(tag: str) -> ModelEntry:
    """Return the entry of a timm model that the registry does not have.

    Raises:
        BenchError: an entry can't be called so.
    """
    try:
        return ModelEntry(
            name=tag,
            source="timm",
            dataset="imagenet",
            family=tag.split(".")[0].split("_")[0],
            type="Other",
            tag=tag,
        )
    except ValidationError as error:
        raise BenchError(first_problem(error, f"model {tag!r}")) from None


def _seed_names() -> list[str]:
    names = model_names()
    return [f"{name}@seed{s.seed}" for name in names for s in model(name).seeds]


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
    names = fnmatch.filter(_seed_names() if "@" in pattern else model_names(), pattern)
    found = [model(name) for name in names]
    if dataset_name is not None:
        base = trained_on(dataset(dataset_name)).name
        found = [entry for entry in found if entry.dataset in (dataset_name, base)]
    if not found:
        where = f" of data set {dataset_name!r}" if dataset_name else ""
        raise BenchError(
            f"pattern {pattern!r} matches no model{where}; `bench list models` shows all names"
        )
    return found
