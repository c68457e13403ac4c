"""Weights on disk: safetensors with JSON metadata, or `torch.save`; read once, always checked.

A file is read into memory once, and what is hashed is what is parsed. Its first bytes say what it
is, not its name. Of a file with several things in it the one set of weights is taken; where there
are two, nobody guesses.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from bench.errors import BenchError
from bench.files import write_bytes
from bench.models.weights import load_weights

__all__ = ["Checkpoint", "load_weights", "read_checkpoint", "write_checkpoint"]

KEY = "bench"
"""Metadata key of the JSON text in a safetensors file."""
LARGEST_COUNT = 2**63 - 1
"""Of the whole numbers in the metadata."""

_FOREIGN = (
    (b"\x89HDF", "an HDF5 file (Keras?)"),
    (b"\x1f\x8b", "a gzip file; unpack it"),
    (b"<", "a web page"),
    (b"version https://git-lfs", "a pointer of git-lfs; run `git lfs pull`"),
    (b"\x93NUMPY", "a NumPy array"),
)
"""How files begin that are taken for weights, and what they are."""


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
    data = safetensors.torch.save(cpu, metadata={KEY: text})
    write_bytes(path, data)
    return hashlib.sha256(data).hexdigest()


def read_checkpoint(path: Path, *, sha256: str | None = None) -> Checkpoint:
    """Read a safetensors file, or what `torch.save` wrote: a state dict, or one set among others.

    Args:
        path: the file; its first bytes decide the format.
        sha256: what it must hash to, 64 hex digits; None: not checked.

    Raises:
        BenchError: missing, truncated, not a weights file, more than one set of weights in it, or
            another SHA-256.
    """
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BenchError(
            f"expected a weights file, got {reason!r}, in {path}; check the path"
        ) from error
    digest = hashlib.sha256(data).hexdigest()
    if sha256 is not None and digest != sha256:
        raise BenchError(
            f"expected SHA-256 {sha256}, got {digest}, in {path}; fetch the file again"
        )
    tensors, meta = _parse(data, path)
    return Checkpoint(tensors, meta, digest)


def _parse(data: bytes, path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return tensors and metadata of a file's bytes. Raises BenchError whatever is wrong."""
    # a zip, or a pickle of protocol 2 or later: both of torch.save
    if data[:4] == b"PK\x03\x04" or (data[:1] == b"\x80" and data[8:9] != b"{"):
        return _read_torch(data, path), {}
    for start, kind in _FOREIGN:
        if data.startswith(start) and data[8:9] != b"{":
            raise BenchError(
                f"expected weights (safetensors, or torch.save), found {kind}, in {path}; give a "
                "file of weights"
            )
    return _read_safetensors(data, path)


def _read_safetensors(data: bytes, path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        tensors = safetensors.torch.load(data)
    except Exception as error:  # the library raises whatever its version does
        raise BenchError(
            f"expected a whole safetensors file, got {_one_line(error)!r}, in {path}; "
            "it is truncated or of another format: fetch it again"
        ) from error
    return tensors, _metadata(data, path)


def _metadata(data: bytes, path: Path) -> dict[str, Any]:
    """Return the project's metadata in the header of a file that safetensors has read."""
    (size,) = struct.unpack_from("<Q", data)
    try:
        header = json.loads(data[8 : 8 + size])
        meta = json.loads((header.get("__metadata__") or {}).get(KEY, "{}"))
    except (ValueError, RecursionError) as error:
        raise BenchError(
            f"expected JSON in the metadata {KEY!r}, got {_one_line(error)!r}, in {path}; "
            "save the file again without it"
        ) from None
    counts = [meta.get(key) for key in ("train_count", "seed")] if isinstance(meta, dict) else [""]
    if not all(c is None or (type(c) is int and 0 <= c <= LARGEST_COUNT) for c in counts):
        raise BenchError(
            f"expected a JSON object with whole numbers train_count and seed in the metadata "
            f"{KEY!r}, got another, in {path}; save the file again without it"
        )
    assert isinstance(meta, dict), "anything else was refused"
    return meta


# ---------------------------------------------------------------- torch.save


def _read_torch(data: bytes, path: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of what the error says anyway
            found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # a broken pickle raises anything
        raise BenchError(
            f"expected weights that torch.load(weights_only=True) reads, got "
            f"{_one_line(error)!r}, in {path}; fetch it again or convert it to safetensors"
        ) from error
    sets = dict(_sets(found))
    if len(sets) == 1:
        return next(iter(sets.values()))
    if sets:
        keys = " and ".join(repr(key) for key in sets)
        first = next(iter(sets))
        raise BenchError(
            f"expected one set of weights, found {len(sets)} ({keys}), in {path}; save the one "
            f"that you mean into a file of its own (torch.save(file[{first!r}], PATH))"
        )
    raise BenchError(f"expected a state dict (names to tensors), {_unlike(found)}, in {path}; "
                     "save `model.state_dict()`")  # fmt: skip


def _sets(found: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Give each state dict in what `torch.save` wrote, with the keys that lead to it."""
    if not isinstance(found, dict) or depth > 3:
        return
    if found and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in found.items()):
        yield name, dict(found)
        return
    for key, value in found.items():
        if isinstance(key, str):  # an optimiser numbers its tensors
            yield from _sets(value, f"{name}.{key}" if name else key, depth + 1)


def _unlike(found: Any) -> str:
    if not isinstance(found, dict):
        return f"got {type(found).__name__}"
    odd = [repr(key)[:60] for key, value in found.items() if not isinstance(value, Tensor)]
    if not odd:
        return "got no tensors" if not found else "got names that are no texts"
    return f"got other things under {', '.join(odd[:3])}{', ...' if len(odd) > 3 else ''}"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split("\n")[0].split())[:200] or type(error).__name__
