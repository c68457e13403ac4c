"""What a model is: the hash of its state dict, and what it computes on fixed images.

Together they tell a change of its code from a change of its weights.

The probe images follow from integers alone, so that anybody can make them in any language. Image
n = 0 .. 3 of shape (C, H, W) is noise that is constant on square blocks with a side of 4^n pixels
(1, 4, 16, 64), each channel for itself. With i the index of the block's upper left pixel in the
flattened (4, C, H, W) array, its value is (h >> 8) / 2^24, where modulo 2^32 (the finalizer of
MurmurHash3)

    h = i + 1;  h ^= h >> 16;  h *= 0x85EBCA6B;  h ^= h >> 13;  h *= 0xC2B2AE35;  h ^= h >> 16

Source: https://github.com/aappleby/smhasher (MurmurHash3.cpp, public domain).
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

VERSION = 1
"""Version of the probe images."""
COUNT = 4
DIGITS = 6
"""Significant digits of a stored logit."""


def probe_images(shape: tuple[int, int, int]) -> Tensor:
    """Return the probe images of an input shape.

    Args:
        shape: (C, H, W).

    Returns:
        (4, C, H, W) float32 in [0, 1), exact multiples of 2^-24.
    """
    channels, height, width = shape
    images = np.empty((COUNT, *shape), dtype=np.float32)
    for n in range(COUNT):
        side = 4**n
        y = np.arange(height) // side * side
        x = np.arange(width) // side * side
        c = np.arange(channels)[:, None, None]
        index = ((n * channels + c) * height + y[:, None]) * width + x
        images[n] = (_fmix32(index.astype(np.uint64)) >> np.uint64(8)) / 2**24
    return torch.from_numpy(images)


def _fmix32(index: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    mask = np.uint64(0xFFFFFFFF)
    h = (index + np.uint64(1)) & mask
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        h ^= h >> np.uint64(shift)
        h = (h * np.uint64(factor)) & mask
    return h ^ (h >> np.uint64(16))


def probe(
    module: nn.Module, shape: tuple[int, int, int], device: torch.device
) -> dict[str, object]:
    """Return a model's logits on the probe images, JSON-ready.

    One image at a time, in float32 without TF32: so the numbers depend on the model and, within
    the tolerance of `bench.results.identity`, not on batch or device.

    Args:
        module: images in [0, 1] -> logits; eval mode, on `device`.
        shape: (C, H, W) of its input.
        device: where it is.

    Returns:
        "version", and "logits": (4, classes) rounded to 6 significant digits, None where a value
        is not finite.
    """
    flags = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    with torch.no_grad(), flags:
        found = [module(image[None].to(device))[0].double().cpu() for image in probe_images(shape)]
    return {"version": VERSION, "logits": [[_rounded(v) for v in row.tolist()] for row in found]}


def _rounded(value: float) -> float | None:
    return float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None


def state_dict_sha256(module: nn.Module) -> str:
    """Return the SHA-256 over name, type, shape and values of each state-dict entry.

    Entries come in the state dict's own order, which the module's definition fixes. File format
    and metadata do not count.
    """
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
