"""Says so when a model is no longer the one of its earlier results."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.errors import BenchError, BenchWarning
from bench.results.identity import change
from bench.results.store import read_metadata

SUBMISSIONS = Path("submissions")


def warn_of_changes(metadata: Mapping[str, Any], output: Path, ours: Path) -> None:
    """Warn (`BenchWarning`) if a result or a submission of this model was made with another one.

    Args:
        metadata: of the present run.
        output: folder of results; submissions are looked for in `submissions/`.
        ours: the present run's own file, whose place is checked by `Store.check`.
    """
    name = Path(metadata["protocol"], metadata["dataset"], f"{metadata['model']}.parquet")
    for path in (output / name, SUBMISSIONS / name):
        found = _read(path) if path != ours else None
        other = None if found is None else change(found, metadata)
        if other is not None:
            warnings.warn(f"not the model of {path}: {other}", BenchWarning, stacklevel=2)


def _read(path: Path) -> dict[str, Any] | None:
    """Return a file's metadata; None if there is none, or something else: not our business here."""
    try:
        return read_metadata(path) if path.exists() else None
    except BenchError:
        return None
