"""Weights on disk: safetensors with JSON metadata, written whole or not at all, always checked."""

from __future__ import annotations

import hashlib
import json
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from bench.errors import BenchError
from bench.files import write_bytes

KEY = "bench"
"""Metadata key of the JSON text in a safetensors file."""

TORCH_SUFFIXES = (".pt", ".pth", ".bin")


@dataclass(frozen=True)
class Checkpoint:
    """What a weights file holds."""

    tensors: dict[str, Tensor]
    """State dict, on the CPU."""
    meta: dict[str, Any]
    """Metadata of this project; empty for files of others."""
    sha256: str
    """Of the whole file, 64 hex digits."""


def write_checkpoint(path: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> str:
    """Write a safetensors file atomically and return its SHA-256.

    Equal tensors and metadata give equal bytes. A reader sees the old file or the new one.

    Args:
        path: where to; its folder is made.
        tensors: the state dict.
        meta: JSON-ready metadata.

    Raises:
        BenchError: the place can't be written.
    """
    text = json.dumps(meta, sort_keys=True, separators=(",", ":"))
    # safetensors takes no two names of one memory, which tied layers have
    cpu = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    data = save(cpu, metadata={KEY: text})
    write_bytes(path, data)
    return hashlib.sha256(data).hexdigest()


def read_checkpoint(path: Path, *, sha256: str | None = None) -> Checkpoint:
    """Read a safetensors file, or a state dict of `torch.save` (.pt, .pth, .bin).

    Args:
        path: the file.
        sha256: what it must hash to, 64 hex digits; None: not checked.

    Raises:
        BenchError: missing, truncated, not a weights file, or another SHA-256.
    """
    try:
        digest = file_sha256(path)
    except OSError as error:
        raise BenchError(
            f"expected a weights file, got {error.strerror!r}, in {path}; check the path"
        ) from error
    if sha256 is not None and digest != sha256:
        raise BenchError(
            f"expected SHA-256 {sha256}, got {digest}, in {path}; fetch the file again"
        )
    torch_file = path.suffix in TORCH_SUFFIXES
    tensors, meta = _read_torch(path) if torch_file else _read_safetensors(path)
    return Checkpoint(tensors, meta, digest)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            meta = json.loads((file.metadata() or {}).get(KEY, "{}"))
    except (SafetensorError, OSError, ValueError) as error:
        raise BenchError(
            f"expected a whole safetensors file, got {_one_line(error)!r}, in {path}; "
            "it is truncated or of another format: fetch it again"
        ) from error
    return tensors, meta


def _read_torch(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of what the error says anyway
            found = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise BenchError(
            f"expected weights that torch.load(weights_only=True) reads, got "
            f"{_one_line(error)!r}, in {path}; fetch it again or convert it to safetensors"
        ) from error
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    if not isinstance(found, dict) or not all(isinstance(v, Tensor) for v in found.values()):
        raise BenchError(
            f"expected a state dict (names to tensors), got {type(found).__name__}, in {path}; "
            "save `model.state_dict()`"
        )
    return dict(found), {}


def load_weights(module: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Copy a state dict into a module; every entry must be there, with its shape.

    Of entries that are one tensor in the module (tied layers) one is enough, and those that are
    there must be equal.

    Args:
        module: changed in place.
        tensors: the state dict.
        where: named in the message (the file).

    Raises:
        BenchError: names the first entry that is missing, has another shape or another value than
            one that it is tied to, or is one too many.
    """
    tensors = {**tensors, **_tied(module, tensors, where)}
    for name, own in module.state_dict().items():
        if name not in tensors:
            raise BenchError(
                f"expected the entry {name!r}, found none, in {where}; the weights are of another "
                "model"
            )
        if tensors[name].shape != own.shape:
            raise BenchError(
                f"expected shape {tuple(own.shape)} for the entry {name!r}, got "
                f"{tuple(tensors[name].shape)}, in {where}; the weights are of another model"
            )
    extra = next((name for name in tensors if name not in module.state_dict()), None)
    if extra is not None:
        raise BenchError(
            f"expected no entry {extra!r}, found one, in {where}; the weights are of another model"
        )
    module.load_state_dict(dict(tensors))


def _tied(module: nn.Module, tensors: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """Return the missing entries whose tensor the module has under another name as well."""
    groups: dict[tuple[int, torch.Size, tuple[int, ...]], list[str]] = {}
    for name, own in module.state_dict().items():
        if own.numel():
            groups.setdefault((own.data_ptr(), own.shape, own.stride()), []).append(name)
    missing: dict[str, Tensor] = {}
    for names in groups.values():
        there = [name for name in names if name in tensors]
        for name in there[1:]:
            if not torch.equal(tensors[there[0]], tensors[name]):
                raise BenchError(
                    f"expected one value for {there[0]!r} and {name!r}, which are one tensor in "
                    f"the model, got two, in {where}; the weights are of another model"
                )
        missing |= {name: tensors[there[0]] for name in names if there and name not in tensors}
    return missing


def _one_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
