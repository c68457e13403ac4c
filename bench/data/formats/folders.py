"""Where below --data-dir a data set's files may lie."""

from __future__ import annotations

import re
from pathlib import Path


def plain(name: str) -> str:
    """Return a name in lower case, letters and digits only (Fashion-MNIST: fashionmnist)."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def candidates(folder: Path, dataset: str) -> list[Path]:
    """Return the folders in which the files of one data set are looked for, in order.

    The folder itself and its `raw`, then a sub-folder that bears the data set's name
    (torchvision's `FashionMNIST/raw`, Debian's `fashion-mnist`) and that one's `raw`.

    Args:
        folder: what the user gave.
        dataset: name of the entry.
    """
    named = [d for d in _folders(folder) if plain(d.name) == plain(dataset)]
    return [c for base in (folder, *named) for c in (base, base / "raw") if c.is_dir()]


def _folders(folder: Path) -> list[Path]:
    return sorted(d for d in folder.iterdir() if d.is_dir()) if folder.is_dir() else []


def one_line(error: BaseException) -> str:
    """Return an exception's text on one line, its class's name if it has none."""
    text = " ".join(str(error).split())
    return text or type(error).__name__
