"""What the entry of a data set has from another that it is like."""

from __future__ import annotations

from typing import Any

from bench.entries.dataset import INHERITED, DatasetEntry


def inherited(base: DatasetEntry, raw: dict[str, Any]) -> dict[str, Any]:
    """Return what an entry has from the one that it is like."""
    known = base.model_dump(mode="json", include=set(INHERITED), exclude_none=True)
    per_class = ("classes", "class_folders")
    return {k: list(subset(v, raw)) if k in per_class else v for k, v in known.items()}


def subset(values: Any, raw: dict[str, Any]) -> Any:
    """Return the values of an entry's classes; all of them where its subset makes no sense."""
    wanted = raw.get("class_subset")
    indices = wanted if isinstance(wanted, list) else []
    if not indices or not all(type(i) is int and 0 <= i < len(values) for i in indices):
        return values
    return tuple(values[i] for i in indices)
