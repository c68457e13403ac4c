"""The address of a result: where its files lie, and how its name is spelt and read.

    [partial/]<protocol>/<dataset>/<model>[@random][@seedN].parquet        the rows
    .../<name>.<kind>.parquet                                              a side file
    .../<name>.blocks/                                                     what is not merged yet

Addresses are keys of a `bench.results.filesystem`: relative to the folder of results, with "/".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from bench.entries.fields import is_side_kind
from bench.errors import BenchError

_NAME = re.compile(r"^(?P<entry>[^@]+)(?P<random>@random)?(?:@seed(?P<seed>[0-9]+))?$")


@dataclass(frozen=True)
class ModelName:
    """The name of a model in the results: its entry, and which weights of it.

    Attributes:
        entry: name of the entry.
        random: untrained weights, a control.
        seed: training seed, where it is another than the entry's own.
    """

    entry: str
    random: bool = False
    seed: int | None = None

    @classmethod
    def parse(cls, text: str) -> ModelName:
        """Read `<model>[@random][@seedN]`.

        Raises:
            BenchError: it is not spelt so.
        """
        match = _NAME.match(text)
        if match is None:
            raise BenchError(
                f"expected a model's name <model>[@random][@seedN], found {text!r}; correct it"
            )
        seed = match["seed"]
        return cls(match["entry"], match["random"] is not None, None if seed is None else int(seed))

    def __str__(self) -> str:
        seed = "" if self.seed is None else f"@seed{self.seed}"
        return f"{self.entry}{'@random' if self.random else ''}{seed}"


@dataclass(frozen=True)
class Address:
    """Where one result is, relative to the folder of results.

    Attributes:
        protocol: name of the protocol, or "probes".
        dataset: name of the data set.
        model: `<model>[@random][@seedN]`.
        partial: measured on other samples than the protocol's.
        kind: "" for the rows, else which file beside them.
    """

    protocol: str
    dataset: str
    model: str
    partial: bool = False
    kind: str = ""

    @property
    def folder(self) -> str:
        """The folder that it lies in."""
        return f"{'partial/' if self.partial else ''}{self.protocol}/{self.dataset}"

    @property
    def stem(self) -> str:
        """The file's name without `.parquet`."""
        return f"{self.model}.{self.kind}" if self.kind else self.model

    @property
    def file(self) -> str:
        """The file."""
        return f"{self.folder}/{self.stem}.parquet"

    @property
    def blocks(self) -> str:
        """The folder of what is measured and not merged yet."""
        return f"{self.folder}/{self.stem}.blocks"

    def side(self, kind: str) -> Address:
        """Return the address of a file beside the rows (`is_side_kind`)."""
        assert is_side_kind(kind), f"{kind} is no kind of side file"
        return replace(self, kind=kind)

    def of(self, protocol: str) -> Address:
        """Return the address of the same model and data set under another protocol."""
        return replace(self, protocol=protocol)


def beside(file: Path, kind: str, suffix: str = ".parquet") -> Path:
    """Return the path of a side file of a result file, anywhere on disk."""
    return file.with_name(f"{file.stem}.{kind}{suffix}")


def blocks_beside(file: Path) -> Path:
    """Return the folder of a result file's blocks, anywhere on disk."""
    return file.with_name(f"{file.stem}.blocks")


def is_side(name: str) -> bool:
    """Return whether a file's name is that of a side file: `x.extras.parquet`."""
    return is_side_kind(PurePosixPath(name.removesuffix(".parquet")).suffix.removeprefix("."))
