"""A model that lives in the caller's memory: a copy of it, measured like any other.

It has no file and no entry. What it is, is the hash of its state dict with that of its structure
(the text of its modules, and buffers that its state dict leaves out); its logits on the probe
images, which every result holds, tell apart what even those do not.
"""

from __future__ import annotations

import copy
import hashlib
import re
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import ValidationError
from torch import nn

from bench.entries import registry
from bench.entries.model import ModelEntry
from bench.entries.read import first_problem
from bench.errors import BenchError
from bench.models import preprocessing
from bench.models.identity import probe, state_dict_sha256
from bench.models.load import LoadedModel, WeightsFound, load
from bench.models.wrappers import OnClones
from bench.results.identity import logit_difference

REASON = "a model in memory, without an entry in the registry"
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]+")
SAME = 1e-4
"""Largest difference of a probe logit from the entry's model, as a share of the largest one."""


class MemoryEntry(ModelEntry):
    """What stands in the place of an entry."""

    source: Literal["memory"] = "memory"  # type: ignore[assignment]


@dataclass(frozen=True, eq=False)
class InMemory:
    """A model of the caller's.

    Attributes:
        module: images in [0, 1] -> logits; never changed.
        entry: under what name and for which data set.
    """

    module: nn.Module
    entry: MemoryEntry


def in_memory(module: nn.Module, name: str | None, dataset: str | None) -> InMemory:
    """Return a model of the caller's under a name.

    Args:
        module: images in [0, 1] -> logits.
        name: of its result; None: the name of its class.
        dataset: name of the data set.

    Raises:
        BenchError: no data set, or a name that no model can have.
    """
    if dataset is None:
        known = ", ".join(registry.dataset_names())
        raise BenchError(f"expected dataset= with a model in memory, got none; name one of {known}")
    known_set = registry.dataset(dataset)
    try:
        entry = MemoryEntry(
            name=type(module).__name__ if name is None else name,
            dataset=known_set.name,
            family="in memory",
            type="Other",
        )
    except ValidationError as error:
        raise BenchError(first_problem(error, "the model in memory")) from None
    return InMemory(module, entry)


def load_memory(model: InMemory, device: torch.device) -> LoadedModel:
    """Return a frozen copy of the caller's model with everything that an evaluation needs.

    Raises:
        BenchError: it can't be copied.
    """
    entry = model.entry
    dataset = registry.dataset(entry.dataset)
    config = preprocessing.settings(entry, dataset)
    try:
        module = copy.deepcopy(model.module).eval().requires_grad_(False)
        wrapped = OnClones(module).eval().to(device)
        state = state_dict_sha256(module)
    except Exception as error:  # whatever the caller's class does when it is copied
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BenchError(
            f"expected a model in memory that can be copied, got {reason!r}, from {entry.name!r}; "
            "pass the module before anything is computed with it, or detach what it remembers"
        ) from error
    found = WeightsFound(
        kind="memory",
        where=f"memory: {type(model.module).__name__}"[:300],
        file_sha256=None,
        state_dict_sha256=state,
        structure_sha256=_structure(module, state),
    )
    return LoadedModel(
        entry=entry,
        module=wrapped,
        weights=found,
        input_shape=config["input_size"],
        classes=len(dataset.classes),
        n_params=max(1, sum(p.numel() for p in module.parameters())),
        transform=preprocessing.transform(dataset, config),
        preprocessing=config,
    )


def _structure(module: nn.Module, state: str) -> str:
    """Return the hash of state dict, modules and the buffers that the state dict leaves out."""
    digest = hashlib.sha256(f"{state}|{type(module).__qualname__}|".encode())
    digest.update(_ADDRESS.sub("", repr(module)).encode())
    kept = module.state_dict()
    for name, buffer in module.named_buffers():
        if name not in kept:
            digest.update(f"|{name}|{buffer.dtype}|{tuple(buffer.shape)}|".encode())
            values = buffer.detach().cpu().contiguous().reshape(-1)
            digest.update(values.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def its_entry(model: InMemory, trust: bool = False) -> ModelEntry | None:
    """Return the registry's entry of a model in memory; None if its name is no entry's.

    Raises:
        BenchError: the name is an entry's, but the model is another.
    """
    name = model.entry.name
    try:
        entry = registry.model(name)
    except BenchError:
        return None
    cpu = torch.device("cpu")
    remedy = "give it another name="
    try:
        theirs = load(entry, "default", cpu, trust)
    except BenchError as error:
        raise BenchError(
            f"{name!r} is an entry of the registry, whose weights are not at hand ({error}); "
            f"{remedy}"
        ) from None
    mine = load_memory(model, cpu)
    hashes = {theirs.weights.state_dict_sha256, state_dict_sha256(theirs.module)}
    if entry.dataset != model.entry.dataset or mine.weights.state_dict_sha256 not in hashes:
        raise BenchError(
            f"{name!r} is an entry of the registry, and this model in memory has other weights or "
            f"another data set; {remedy}"
        )
    shape = theirs.input_shape
    try:
        apart = logit_difference(probe(theirs.module, shape, cpu), probe(mine.module, shape, cpu))
    except Exception:  # whatever the caller's class does with the entry's images
        apart = None
    if apart is None or apart > SAME:
        raise BenchError(
            f"{name!r} is an entry of the registry, and this model in memory has its weights but "
            f"other logits; {remedy}"
        )
    return entry
