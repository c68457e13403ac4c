"""What of a request can be judged at once, before torch is imported or a file of data is opened."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.data.load import check_asked as check_source
from bench.entries import registry
from bench.entries.protocol import Protocol
from bench.errors import BenchError
from bench.files import expanded
from bench.run.choose import choose_attacks, model_entry, spelt_device
from bench.run.request import Request


def entry_names(patterns: Sequence[str], dataset: str | None) -> list[str]:
    """Return the names that the patterns choose; a name that only timm may know is kept.

    Raises:
        BenchError: unknown data set, or a pattern that matches nothing.
    """
    if dataset is not None:
        registry.dataset(dataset)
    names: list[str] = []
    for pattern in patterns:
        if any(sign in pattern for sign in "*?["):
            names += [entry.name for entry in registry.select_models([pattern], dataset)]
        else:
            names.append(pattern)
    return list(dict.fromkeys(names))


def check_spelt(names: Sequence[str]) -> None:
    """Raise BenchError if one of the names is misspelt, before any other is measured.

    A name that only timm may know is left for later.
    """
    for name in names:
        if _is_ours(name):
            registry.model(name)


def check_asked(request: Request, *, named: bool = True) -> None:
    """Find out from the registry and the command's own words whether a request makes sense.

    A name that only timm may know is left for later, since timm brings torch.

    Args:
        request: what was asked for.
        named: False: the model is in memory, and has no name to be looked up.

    Raises:
        BenchError: something in it is impossible.
    """
    what, data = request.what, request.data
    if named and not what.model.strip():
        raise BenchError(f"expected a model's name, got {what.model!r}; see `bench list models`")
    protocol: Protocol = registry.protocol(what.protocol)
    if not request.clean:
        choose_attacks(what.attacks, protocol)
    spelt_device(request.how.device)
    folder = None if data.dir is None else Path(data.dir)
    check_source(data.source, folder)
    if folder is not None and not expanded(folder).exists():
        raise BenchError(f"expected images in --data-dir {folder}, found nothing; check the path")
    if data.dataset is not None:
        registry.dataset(data.dataset)
    if what.weights not in ("default", "random") and not Path(what.weights).is_file():
        raise BenchError(
            f"expected a weights file, found none at {what.weights}; check --weights (default, "
            "random or a path)"
        )
    if named and _is_ours(what.model):
        registry.model(what.model)
        model_entry(request)


def _is_ours(name: str) -> bool:
    """Whether a name, right or wrong, is no name of timm's."""
    ours = tuple(f"{dataset}-" for dataset in registry.dataset_names())
    if name.endswith(".toml") or name.startswith(ours):
        return True
    return name.partition("@")[0] in registry.model_names()
