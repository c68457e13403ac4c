"""Says so when a model is no longer the one of its earlier results."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bench.errors import BenchError, BenchWarning
from bench.results.filesystem import files_at
from bench.results.identity import change
from bench.results.store import Store


def warn_of_changes(metadata: Mapping[str, Any], ours: Store, submissions: str | None) -> None:
    """Warn (`BenchWarning`) if a result or a submission of this model was made with another one.

    Args:
        metadata: of the present run.
        ours: where its result goes; the whole result of the model is beside it, if this is partial.
        submissions: folder of submissions; None: none.
    """
    address = replace(ours.address, partial=False, kind="")
    places = [Store(ours.files, address)] if address != ours.address else []
    if submissions is not None:
        places.append(Store(files_at(submissions), address))
    for place in places:
        found = _metadata(place)
        other = None if found is None else change(found, metadata)
        if other is not None:
            warnings.warn(f"not the model of {place.where}: {other}", BenchWarning, stacklevel=2)


def _metadata(store: Store) -> dict[str, Any] | None:
    """Return a file's metadata; None if there is none, or something else: not our business here."""
    try:
        return store.metadata()
    except BenchError:
        return None
