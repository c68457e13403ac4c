"""One cell of an image column -> pixels."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.data.base import UInt8Image
from bench.data.decode import decode_image
from bench.entries.dataset import DatasetEntry
from bench.errors import BenchError

_ENCODED = (b"\x89PNG\r\n", b"\xff\xd8\xff")
"""How PNG and JPEG files start."""


def to_pixels(cell: Any, entry: DatasetEntry, where: str) -> UInt8Image:
    """Return the pixels of an image cell.

    Args:
        cell: a struct {bytes, path}, encoded bytes, raw bytes, or (nested) lists of integers
            from 0 to 255 in (H, W, C) order.
        entry: the data set: size and channels of raw pixels, and whether all become RGB.
        where: what to call the image in an error.

    Returns:
        (H, W) or (H, W, 3) uint8.

    Raises:
        BenchError: the cell is none of these, or its bytes do not decode.
    """
    shape = (entry.size, entry.size) + ((3,) if entry.channels == 3 else ())
    if isinstance(cell, bytearray | memoryview):
        cell = bytes(cell)
    if isinstance(cell, dict):
        cell = cell.get("bytes")
        if not isinstance(cell, bytes):
            raise BenchError(
                f"expected image bytes, got a path or nothing, in {where}; "
                "save the data set with its images embedded"
            )
        return decode_image(
            cell, where, rgb=entry.transform, shape=None if entry.transform else shape
        )
    if isinstance(cell, bytes):
        # a PNG file can have as many bytes as raw pixels would
        if len(cell) == np.prod(shape) and not cell.startswith(_ENCODED) and not entry.transform:
            return np.frombuffer(cell, dtype=np.uint8).reshape(shape)
        return decode_image(
            cell, where, rgb=entry.transform, shape=None if entry.transform else shape
        )
    return _from_lists(cell, shape, where)


def _from_lists(cell: Any, shape: tuple[int, ...], where: str) -> UInt8Image:
    try:
        values = np.asarray(cell)
    except ValueError:
        values = np.empty(0)
    if values.dtype.kind not in "iu" or not values.size or values.min() < 0 or values.max() > 255:
        raise BenchError(
            f"expected encoded bytes or integers from 0 to 255, got {type(cell).__name__} of "
            f"{values.dtype}, in {where}; store uint8 pixels or PNG bytes"
        )
    if values.ndim == 1 and values.size == np.prod(shape):
        values = values.reshape(shape)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.ndim not in (2, 3):
        raise BenchError(f"expected {shape} values, got {values.shape}, in {where}")
    return values.astype(np.uint8)
