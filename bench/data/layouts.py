"""The one table of on-disk formats: a new one is a module and a line here."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol, cast

from bench.data.base import Images
from bench.entries.dataset import DatasetEntry
from bench.errors import BenchError, unknown_name

LAYOUTS = {
    "idx": "idx",
    "cifar": "cifar",
    "svhn": "svhn",
    "folder": "folder",
    "parquet": "parquet",
    "imagenet-tar": "imagenet_tar",
    "corruptions": "corruptions",
}
"""What entries call a format -> its module in `bench.data.formats`."""


class Layout(Protocol):
    """A module that reads one on-disk format."""

    def expects(self, entry: DatasetEntry, split: str) -> str:
        """Return in words what the format looks for."""

    def read(self, folder: Path, entry: DatasetEntry, split: str) -> Images | None:
        """Return the split, or None if there is nothing of this format."""


def layouts_of(entry: DatasetEntry) -> list[Layout]:
    """Return the formats that an entry names, in its order.

    Raises:
        BenchError: it names one that does not exist.
    """
    for name in entry.layouts:
        if name not in LAYOUTS:
            known = unknown_name("layout", name, LAYOUTS)
            raise BenchError(f"{known} In the data set's entry {entry.name!r}")
    modules = [f"bench.data.formats.{LAYOUTS[name]}" for name in entry.layouts]
    return [cast(Layout, importlib.import_module(module)) for module in modules]
