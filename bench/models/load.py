"""From an entry to a frozen module that takes images in [0, 1]."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from bench.entries import registry
from bench.entries.model import ModelEntry
from bench.errors import BenchError
from bench.models import preprocessing, timm_names, timm_source
from bench.models.checkpoint import read_checkpoint
from bench.models.choose import find_model
from bench.models.collapse import AffineNet, collapse, is_affine
from bench.models.factory import check_random, from_factory
from bench.models.identity import state_dict_sha256
from bench.models.nets import build_net
from bench.models.weights import load_weights
from bench.models.wrappers import OnClones, OnUnitImages, SomeClasses

if TYPE_CHECKING:
    from bench.data.base import Transform


@dataclass(frozen=True)
class WeightsFound:
    """Which weights a loaded model has."""

    kind: str
    """default, random, path or memory."""
    where: str
    """File name, hub id, or the seed of random weights."""
    file_sha256: str | None
    """Of the file, where there is one."""
    state_dict_sha256: str
    """Over names, shapes and values of the state dict."""
    train_count: int | None = None
    """Images that `bench train` trained on, where the file says so."""
    train_seed: int | None = None
    """Seed that `bench train` trained with, where the file says so."""
    structure_sha256: str | None = None
    """Of a model in memory: over its state dict and its structure, which no entry names."""

    @property
    def sha256(self) -> str:
        """The hash that identifies the weights: the file's, else the state dict's."""
        return self.file_sha256 or self.structure_sha256 or self.state_dict_sha256


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to be measured."""

    entry: ModelEntry
    module: nn.Module
    """Images in [0, 1] -> logits; eval mode, parameters frozen, on its device."""
    weights: WeightsFound
    input_shape: tuple[int, int, int]
    classes: int
    n_params: int
    transform: Transform | None
    """The evaluation transform, for data sets that have one."""
    preprocessing: Mapping[str, Any]
    """Settings of that transform and the normalisation, for the metadata."""

    @property
    def affine(self) -> bool:
        """Whether the model is known to be an affine map: a net without nonlinearity."""
        return self.entry.net is not None and not self.entry.net.relu


def load_model(
    model: str,
    weights: str | Path = "default",
    device: str = "cpu",
    trust: bool = False,
    seed: int = 0,
) -> nn.Module:
    """Return a model of the registry, or any timm model, ready to be used.

    Args:
        model: entry name, timm `arch.tag`, or the path of an entry's TOML file.
        weights: "default" (the entry's), "random" (seeded initial weights), or a file.
        device: where to put it.
        trust: allow entries with a `factory`, which runs their code.
        seed: seed of random weights, and training seed of weights that `bench train` made.

    Returns:
        A module from (B, C, H, W) float images in [0, 1] to (B, classes) logits; eval mode,
        parameters frozen, normalisation inside. A net without nonlinearity comes collapsed
        to the one affine map that it is; its file may hold that map itself.

    Raises:
        BenchError: unknown name, or weights that are missing, damaged or of another model.
    """
    return load(find_model(model), weights, torch.device(device), trust, seed=seed).module


def load(
    entry: ModelEntry,
    weights: str | Path,
    device: torch.device,
    trust: bool = False,
    *,
    seed: int = 0,
    trained: Path | None = None,
    offline: bool = False,
) -> LoadedModel:
    """Return a loaded model with everything that an evaluation needs to know of it.

    Args:
        entry: the model's entry.
        weights: "default", "random", or a file.
        device: where to put it.
        trust: allow `factory` entries.
        seed: of random weights.
        trained: checkpoint of `bench train`, used as the default where the entry names none.
        offline: never ask the network.
    """
    dataset = registry.dataset(entry.dataset)
    check(entry, weights, trained)
    config = preprocessing.settings(entry, dataset)
    file = _file(entry, weights, trained)
    outputs = len(registry.trained_on(dataset).classes)
    with timm_source.offline(offline):
        module = _build(
            entry, outputs, config, hub=file is None and weights != "random", seed=seed, trust=trust
        )
    if weights == "random" and entry.factory is not None:
        check_random(module, entry.factory, seed, config["input_size"])
    n_params = sum(p.numel() for p in module.parameters())
    linear = entry.net is not None and not entry.net.relu
    sha256: str | None = None
    meta: Mapping[str, Any] = {}
    if file is not None:
        expected = entry.weights.sha256 if weights == "default" and entry.weights else None
        if trained is not None and file == trained:
            expected = None
        checkpoint = read_checkpoint(file, sha256=expected)
        sha256, meta = checkpoint.sha256, checkpoint.meta
        if linear and is_affine(checkpoint.tensors):
            module = AffineNet.empty(config["input_size"], len(dataset.classes))
        load_weights(module, checkpoint.tensors, str(file))
    found = WeightsFound(
        kind=weights if weights in ("default", "random") else "path",
        where=_where(entry, weights, file, seed),
        file_sha256=sha256,
        state_dict_sha256=state_dict_sha256(module),
        train_count=_whole(meta.get("train_count")),
        train_seed=_whole(meta.get("seed")),
    )
    if linear and not isinstance(module, AffineNet):
        module = collapse(module.eval().requires_grad_(False), config["input_size"])
    wrapped = OnUnitImages(module, config["mean"], config["std"]) if config["mean"] else module
    wrapped = OnClones(wrapped) if entry.factory is not None else wrapped
    wrapped = SomeClasses(wrapped, dataset.class_subset) if dataset.class_subset else wrapped
    wrapped = wrapped.eval().requires_grad_(False).to(device)
    return LoadedModel(
        entry=entry,
        module=wrapped,
        weights=found,
        input_shape=config["input_size"],
        classes=len(dataset.classes),
        n_params=n_params,
        transform=preprocessing.transform(dataset, config),
        preprocessing=config,
    )


def check(entry: ModelEntry, weights: str | Path, trained: Path | None = None) -> None:
    """Find out cheaply whether a model can be loaded: its timm name and its weights file.

    Raises:
        BenchError: timm does not have it, its weights have other classes, or there are none.
    """
    file = _file(entry, weights, trained)
    if entry.tag is not None:
        timm_names.known_tag(entry.tag)
        if file is None and weights == "default":
            classes = registry.trained_on(registry.dataset(entry.dataset)).classes
            timm_source.check_classes(entry.tag, len(classes))
    if file is not None and not file.is_file():
        raise BenchError(f"expected a weights file, got 'No such file', in {file}; check the path")


def _whole(value: object) -> int | None:
    return value if type(value) is int else None


def _file(entry: ModelEntry, weights: str | Path, trained: Path | None) -> Path | None:
    """Return the weights file to read; None for random and for timm's own."""
    if weights == "random":
        return None
    if weights != "default":
        return Path(weights)
    if entry.weights is not None and entry.weights.file is not None:
        return registry.registry_dir() / entry.weights.file
    if trained is not None and trained.exists():
        return trained
    if entry.source == "timm" or (entry.source == "factory" and entry.weights is None):
        return None
    command = _command(entry)
    raise BenchError(
        f"expected trained weights of {entry.name!r}, found none: its entry names no file"
        + (f" and {trained} does not exist" if trained and entry.net else "")
        + (f"; run `{command}`, give" if command else "; give")
        + " --weights PATH, or --weights random for an untrained control"
    )


def _command(entry: ModelEntry) -> str | None:
    """Return what trains an entry's weights: what it states, else `bench train`."""
    if entry.weights is not None and entry.weights.command is not None:
        return entry.weights.command
    base, _, seed = entry.name.partition("@seed")
    train = f"bench train --model {base}" + (f" --seed {seed}" if seed else "")
    return train if entry.net else None


def _build(
    entry: ModelEntry,
    outputs: int,
    config: Mapping[str, Any],
    *,
    hub: bool,
    seed: int,
    trust: bool,
) -> nn.Module:
    if entry.source == "net":
        assert entry.net is not None, "validated: source net has its table"
        shape = config["input_size"]
        return build_net(entry.net, input_shape=shape, classes=outputs, seed=seed)
    if entry.source == "factory":
        assert entry.factory is not None, "validated: source factory has its key"
        return from_factory(entry.factory, trust, seed)
    assert entry.tag is not None, "validated: these sources have a tag"
    return timm_source.build(
        entry.tag,
        pretrained=hub and entry.source == "timm",
        classes=outputs,
        shape=config["input_size"],
        seed=seed,
    )


def _where(entry: ModelEntry, weights: str | Path, file: Path | None, seed: int) -> str:
    if weights == "random":
        return f"random initial weights, seed {seed}"
    if file is not None:
        registry_dir = registry.registry_dir()
        inside = file.is_relative_to(registry_dir)
        return f"registry/{file.relative_to(registry_dir)}" if inside else file.name
    if entry.source == "timm":
        return f"hub:timm/{entry.tag}"
    return str(entry.factory)
