"""What was asked for: a frozen description of a run that another process can start from.

The names of its fields are those of `bench.evaluate` and of the options of `bench eval`; they are
checked once, here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError, model_validator

from bench.entries import registry
from bench.entries.fields import Frozen
from bench.entries.read import short
from bench.errors import BenchError
from bench.files import expanded
from bench.results.filesystem import check_output, url_of
from bench.run.engines.choice import Engine
from bench.run.shard import Shard


class What(Frozen):
    """What is measured."""

    model: str = ""
    """Entry name, timm `arch.tag`, or the path of an entry's TOML file."""
    weights: str = "default"
    """"default", "random", or a file."""
    trust: bool = False
    attacks: tuple[str, ...] = ()
    """None: all of the protocol. ("clean",): predictions of the whole test split."""
    protocol: str = ""
    """Empty in no request that was made by `of` or `but`: there the protocol that ranks stands."""
    seed: int | None = None
    """None: the protocol's."""
    probe: str = ""
    """Name of a probe (`bench.entries.probes`) instead of attacks; empty: none."""


class Data(Frozen):
    """On which images."""

    dataset: str | None = None
    source: str | None = None
    """"hub", "embedded" or "samples"."""
    dir: str | None = None
    limit: int | None = None


class How(Engine):
    """With what means; who does it is the engine's part."""

    device: str = "auto"
    batch_size: int | None = None
    """None: chosen from the input's size and the memory."""
    save_perturbations: bool = False
    shard: str | None = None
    """`I/N`: where this process begins among N; None: a SLURM array's task says it, else 0/1."""


class Where(Frozen):
    """Where results go, and what may be asked for."""

    output: str = "results"
    overwrite: bool = False
    offline: bool = False
    submissions: str | None = "submissions"
    """Folder whose result of the same model a run is compared with; None: none."""


class Request(Frozen):
    """What the user asked for. Write it with `of`; `model_dump_json` and `read` carry it."""

    what: What = What()
    data: Data = Data()
    how: How = How()
    where: Where = Where()

    @classmethod
    def of(cls, **options: Any) -> Request:
        """Return the request of some options, by their names in `bench.evaluate`.

        Raises:
            BenchError: a value makes no sense.
            TypeError: there is no such option.
        """
        return cls().but(**options)

    def but(self, **options: Any) -> Request:
        """Return the request with other values for some options."""
        groups = self.model_dump()
        for name, value in options.items():
            group, key = _place(name)
            groups[group][key] = _plain(name, value)
        return self._validated(groups)

    @classmethod
    def _validated(cls, groups: Mapping[str, Any]) -> Request:
        if not groups["what"].get("protocol"):
            groups["what"]["protocol"] = registry.default_protocol()
        try:
            return cls.model_validate(groups)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = next((str(part) for part in reversed(first["loc"]) if isinstance(part, str)), "")
            key = next((name for name, place in RENAMED.items() if place[1] == key), key)
            wanted = WANTED.get(first["type"], first["msg"].lower())
            raise BenchError(
                f"expected {wanted} for {key}, got {short(first['input'])} "
                f"({type(first['input']).__name__})"
            ) from None

    @classmethod
    def read(cls, text: str) -> Request:
        """Return the request that another process wrote with `model_dump_json`."""
        return cls.model_validate_json(text)

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        for name, value in (
            ("--limit", self.data.limit),
            ("--batch-size", self.how.batch_size),
        ):
            if value is not None and value < 1:
                raise BenchError(f"expected {name} of at least 1, got {value}")
        if self.how.shard is not None:
            Shard.parse(self.how.shard)
        if self.what.seed is not None and self.what.seed < 0:
            raise BenchError(f"expected --seed of at least 0, got {self.what.seed}")
        if "clean" in self.what.attacks and len(self.what.attacks) > 1:
            raise BenchError(
                "expected --attack clean alone, got other attacks with it; run it apart"
            )
        check_output(self.where.output, self.where.offline)
        return self

    @property
    def clean(self) -> bool:
        """Whether the pseudo-attack `clean` is asked for."""
        return self.what.attacks == ("clean",)

    def anywhere(self) -> Request:
        """Return the request with absolute paths, for a process that starts in another folder."""
        what, data, where = self.what, self.data, self.where
        paths: dict[str, Any] = {"output": _absolute(where.output)}
        if what.weights not in ("default", "random"):
            paths["weights"] = _absolute(what.weights)
        if what.model.endswith(".toml"):
            paths["model"] = _absolute(what.model)
        if data.dir is not None:
            paths["data_dir"] = _absolute(data.dir)
        if where.submissions is not None:
            paths["submissions"] = _absolute(where.submissions)
        return self.but(**paths)


WANTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "string_type": "text",
    "bool_type": "True or False",
    "tuple_type": "a name or a list of names",
}
"""pydantic's kind of error -> what was expected."""

RENAMED = {"data": ("data", "source"), "data_dir": ("data", "dir")}
"""Options that are called otherwise in their group."""

GROUPS: dict[str, type[Frozen]] = {"what": What, "data": Data, "how": How, "where": Where}

OPTIONS = frozenset([*RENAMED, *(k for group in GROUPS.values() for k in group.model_fields)]) - {
    "source",
    "dir",
}
"""Names of all options."""


def _place(name: str) -> tuple[str, str]:
    if name in RENAMED:
        return RENAMED[name]
    for group, kind in GROUPS.items():
        if name in kind.model_fields and name in OPTIONS:
            return group, name
    raise TypeError(f"a request has no option {name!r}")


def _plain(name: str, value: Any) -> Any:
    """Return a value as the request holds it: what is only another spelling becomes the one."""
    if isinstance(value, Path) or (name == "device" and type(value).__name__ == "device"):
        return str(value)
    if name == "batch_size" and value == "auto":
        return None
    if name == "attacks":
        if value is None:
            return ()
        return (value,) if isinstance(value, str) else _texts(value)
    if hasattr(value, "dtype") and hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        return value.item()  # a number of numpy's
    return value


def _texts(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple | set | frozenset) else value


def _absolute(path: str) -> str:
    if url_of(path) is not None:
        return path
    return str(expanded(Path(path)).absolute())
