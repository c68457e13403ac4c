"""From a state dict into a module: every name, shape and type must fit, and nothing is rounded."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from bench.errors import BenchError

_COUNTER = "num_batches_tracked"
"""Batch norm's count of training steps: in no file of before PyTorch 0.4.1, and unused in eval."""
_ANOTHER = "the weights are of another model"

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def load_weights(module: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Copy a state dict into a module; every entry must be there, with its shape.

    Of entries that are one tensor in the module (tied layers) one is enough, and those that are
    there must be equal. A prefix that all names bear is dropped if they fit without it (training
    wrappers write `module.`, `_orig_mod.` or `model.`). Counters of batch norms may be missing.

    Args:
        module: changed in place.
        tensors: the state dict.
        where: named in the message (the file).

    Raises:
        BenchError: names the first entry that is missing, has another shape, a type or values that
            the module's type does not hold exactly, another value than one that it is tied to, or
            is one too many.
    """
    own = module.state_dict()
    tensors = _without_prefix(tensors, own)
    for name, tensor in tensors.items():
        _must_be_plain(name, tensor, where)
    tensors = {**tensors, **_tied(own, tensors, where)}
    for name, expected in own.items():
        if name in tensors:
            _must_fit(name, tensors[name], expected, where)
        elif name.rpartition(".")[2] != _COUNTER:
            raise BenchError(f"expected the entry {name!r}, found none, in {where}; {_ANOTHER}")
    extra = next((name for name in tensors if name not in own), None)
    if extra is not None:
        raise BenchError(f"expected no entry {extra!r}, found one, in {where}; {_ANOTHER}")
    counters = {k: v for k, v in own.items() if k not in tensors}
    module.load_state_dict({**tensors, **counters})


def _without_prefix(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    found = dict(tensors)
    for _ in range(3):  # wrappers can be nested
        prefix = {name.partition(".")[0] for name in found if "." in name}
        if len(prefix) != 1 or not all("." in name for name in found) or set(found) & set(own):
            return found
        found = {name.partition(".")[2]: tensor for name, tensor in found.items()}
    return found if set(found) & set(own) else dict(tensors)


def _must_be_plain(name: str, tensor: Tensor, where: str) -> None:
    """Raise BenchError for tensors that hold no values, or not one for each place."""
    kind = (
        "a sparse tensor" if tensor.layout != torch.strided
        else "a tensor without values (device meta)" if tensor.is_meta
        else "a quantised tensor" if tensor.is_quantized
        else None
    )  # fmt: skip
    if kind is not None:
        raise BenchError(
            f"expected plain values for the entry {name!r}, got {kind}, in {where}; save the dense "
            "floating-point weights"
        )


def _must_fit(name: str, tensor: Tensor, own: Tensor, where: str) -> None:
    """Raise BenchError unless the module's tensor can hold exactly what the file's does."""
    if tensor.shape != own.shape:
        raise BenchError(
            f"expected shape {tuple(own.shape)} for the entry {name!r}, got "
            f"{tuple(tensor.shape)}, in {where}; {_ANOTHER}"
        )
    if tensor.dtype == own.dtype:
        return
    same_kind = (tensor.dtype in _FLOATS and own.dtype in _FLOATS) or not (
        any(t.is_floating_point() or t.is_complex() or t.dtype == torch.bool for t in (tensor, own))
    )
    back = tensor.to(own.dtype).to(tensor.dtype) if same_kind else None
    if back is None or not bool(((back == tensor) | (tensor != tensor)).all()):
        kinds = [str(t.dtype).removeprefix("torch.") for t in (own, tensor)]
        raise BenchError(
            f"expected {kinds[0]} values for the entry {name!r}, got {kinds[1]}, which "
            f"{kinds[0]} does not hold exactly, in {where}; save the weights as {kinds[0]}"
        )


def _tied(
    own: Mapping[str, Tensor], tensors: Mapping[str, Tensor], where: str
) -> dict[str, Tensor]:
    """Return the missing entries whose tensor the module has under another name as well."""
    groups: dict[tuple[int, torch.Size, tuple[int, ...]], list[str]] = {}
    for name, tensor in own.items():
        if tensor.numel():
            groups.setdefault((tensor.data_ptr(), tensor.shape, tensor.stride()), []).append(name)
    missing: dict[str, Tensor] = {}
    for names in groups.values():
        there = [name for name in names if name in tensors]
        for name in there[1:]:
            if not torch.equal(tensors[there[0]], tensors[name]):
                raise BenchError(
                    f"expected one value for {there[0]!r} and {name!r}, which are one tensor in "
                    f"the model, got two, in {where}; {_ANOTHER}"
                )
        missing |= {name: tensors[there[0]] for name in names if there and name not in tensors}
    return missing
