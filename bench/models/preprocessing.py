"""How images become a model's input: its size, normalisation and evaluation transform.

None of it builds the model or needs its weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.entries import DatasetEntry, ModelEntry

if TYPE_CHECKING:
    from bench.data.base import Transform


def settings(entry: ModelEntry, dataset: DatasetEntry) -> dict[str, Any]:
    """Return input size, mean and std (None: no normalisation), and the transform's settings.

    Args:
        entry: the model's entry.
        dataset: its data set.
    """
    if entry.tag is not None and dataset.transform:
        from bench.models import timm_source

        return timm_source.data_config(entry.tag, entry.input_size)
    size = entry.input_size or dataset.size
    return {"input_size": (dataset.channels, size, size), "mean": None, "std": None}


def transform(dataset: DatasetEntry, settings: dict[str, Any]) -> Transform | None:
    """Return the evaluation transform of these settings; None if images are used as stored."""
    if not dataset.transform:
        return None
    from bench.models import timm_source

    return timm_source.evaluation_transform(settings)
