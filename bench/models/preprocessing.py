"""How images become a model's input: its size, normalisation and evaluation transform.

None of it builds the model or needs its weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.entries.dataset import DatasetEntry
from bench.entries.model import ModelEntry
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.data.base import Transform


def settings(entry: ModelEntry, dataset: DatasetEntry) -> dict[str, Any]:
    """Return input size, mean and std (None: no normalisation), and the transform's settings.

    Args:
        entry: the model's entry.
        dataset: its data set.

    Raises:
        BenchError: the entry wants another size of images that are used as stored.
    """
    if dataset.transform:
        from bench.models import timm_source

        if entry.tag is not None:
            return timm_source.data_config(entry.tag, entry.input_size)
        # a factory's module normalises by itself; the rest are timm's defaults
        known = timm_source.data_config(None, entry.input_size or dataset.size)
        return {**known, "mean": None, "std": None}
    if entry.input_size not in (None, dataset.size):
        raise BenchError(
            f"expected input_size = {dataset.size} (images of {dataset.name} are used as stored), "
            f"got {entry.input_size}, in the entry {entry.name!r}; leave it out, and let the model "
            "itself resize its input"
        )
    size = (dataset.channels, dataset.size, dataset.size)
    return {"input_size": size, "mean": None, "std": None}


def transform(dataset: DatasetEntry, settings: dict[str, Any]) -> Transform | None:
    """Return the evaluation transform of these settings; None if images are used as stored."""
    if not dataset.transform:
        return None
    from bench.models import timm_source

    return timm_source.evaluation_transform(settings)
