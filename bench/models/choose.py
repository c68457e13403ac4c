"""From what the user calls a model, and the data set if one is named, to the entry."""

from __future__ import annotations

from bench.entries import registry
from bench.entries.model import ModelEntry
from bench.errors import BenchError


def choose_model(name: str, dataset: str | None = None) -> ModelEntry:
    """Return a model's entry, for the data set that is named.

    Args:
        name: entry, entry's TOML file, or a name of timm's (`arch.tag`, `arch`, an old name, with
            or without `hf-hub:timm/`).
        dataset: the model's data set or one that is `like` it; None: the model's.

    Raises:
        BenchError: unknown model or data set, or the model is not for it.
    """
    entry = find_model(name)
    return entry if dataset in (None, entry.dataset) else _for_dataset(entry, str(dataset))


def find_model(name: str) -> ModelEntry:
    """Return a model's entry; a timm name without an entry gets timm's full tag.

    Raises:
        BenchError: neither the registry nor timm has it.
    """
    try:
        return registry.model(name)
    except BenchError as unknown:
        if name.endswith(".toml"):
            raise
        from bench.models import timm_names

        if not timm_names.is_meant(name):
            raise unknown from None
        return registry.timm_entry(timm_names.known_tag(name))


def _for_dataset(entry: ModelEntry, name: str) -> ModelEntry:
    """Return the entry for a data set that is like its own."""
    wanted = registry.dataset(name)
    if wanted.like != entry.dataset:
        also = [d for d in registry.dataset_names() if registry.dataset(d).like == entry.dataset]
        raise BenchError(
            f"expected --dataset {' or '.join([entry.dataset, *also])} for model {entry.name!r}, "
            f"got {name}; leave it out, or name a model of that data set"
        )
    # what was stated and measured is of the entry's own test split
    stated = {"test_accuracy": None, "train_accuracy": None}
    weights = entry.weights and entry.weights.model_copy(update=stated)
    return entry.model_copy(update={"dataset": name, "weights": weights, "paper": None})
