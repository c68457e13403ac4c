"""What a class is called: names decide which index it has, never its place in a list."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from bench.data.formats.folders import plain
from bench.entries.dataset import DatasetEntry
from bench.errors import BenchError

_NUMBERED = re.compile(r"^[0-9]+[\s._-]+(?=\D)")
"""A number that some put before a name, to sort by ("001.tench"); the name counts."""


Index = Callable[[str], int | None]
"""Name -> class index, or None."""


def class_indices(names: Sequence[str], entry: DatasetEntry) -> list[int] | None:
    """Return the class index of each name, or None if the names are not of one kind that is known.

    In this order: the entry's class folders (ImageNet: WordNet ids), its class names in any
    spelling ("great white shark", "Great_White-Shark", "great white shark, white shark"), either
    of them with a number before it, or a class folder's name with more behind it
    ("n01440764_tench"); and the index itself, where the names are integers within the classes.

    Args:
        names: what the classes are called, each once.
        entry: the data set.
    """
    for index in _kinds(entry):
        found = [index(name) for name in names]
        if found and None not in found:
            return [i for i in found if i is not None]
    return None


def each_index(names: Sequence[str], entry: DatasetEntry) -> list[int | None]:
    """Return the class index of each name by itself, of whatever kind; None where it is unknown."""
    kinds = _kinds(entry)
    return [next((i for kind in kinds if (i := kind(name)) is not None), None) for name in names]


def _kinds(entry: DatasetEntry) -> tuple[Index, ...]:
    return (_spelt(entry, False), _spelt(entry, True), _by_first_word(entry), _number(entry))


def _spelt(entry: DatasetEntry, numbered: bool) -> Index:
    """Return how to look a name up among class folders and class names, in any spelling."""
    known: dict[str, int | None] = {}
    for names in (entry.class_folders or (), entry.classes):
        for number, name in enumerate(names):
            # of two classes of one name (ImageNet's cranes) none is meant
            known[plain(name)] = number if known.get(plain(name), number) == number else None

    def index(name: str) -> int | None:
        name = _NUMBERED.sub("", name) if numbered else name
        whole = known.get(plain(name))
        # several words for one class are set apart by commas, the first is the usual one
        return whole if whole is not None else known.get(plain(name.split(",")[0]))

    return index


def _by_first_word(entry: DatasetEntry) -> Index:
    known = {plain(name): index for index, name in enumerate(entry.class_folders or ())}
    return lambda name: known.get(plain(re.split(r"[\s._-]", name.strip())[0]))


def _number(entry: DatasetEntry) -> Index:
    def index(name: str) -> int | None:
        short = len(name) <= 9 and name.isascii() and name.isdigit()
        return int(name) if short and int(name) < len(entry.classes) else None

    return index


def class_order(names: Sequence[str], entry: DatasetEntry, where: object) -> list[int] | None:
    """Return the class index of each label of a file that says what its labels are called.

    Args:
        names: what the file calls its labels 0, 1, ...
        entry: the data set.
        where: the file, for errors.

    Returns:
        A class index for each label; None if the labels are the class indices as they stand.

    Raises:
        BenchError: some names are those of other classes, and not all are known.
    """
    found = each_index(names, entry)
    known = {label: index for label, index in enumerate(found) if index is not None}
    if all(label == index for label, index in known.items()):
        return None
    if len(known) < len(names) or len(set(known.values())) < len(names):
        label = next(label for label, index in known.items() if label != index)
        raise BenchError(
            f"expected the classes of {entry.title} in their order, got {names[label]!r} as class "
            f"{label} (it is {known[label]}), in {where}; give the classes their usual names"
        )
    return list(known.values())
