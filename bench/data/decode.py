"""Encoded image bytes to pixels, with errors that name the image."""

from __future__ import annotations

import io
import struct

import numpy as np

from bench.data.base import UInt8Image
from bench.errors import BenchError


def decode_image(data: bytes, name: str, *, rgb: bool) -> UInt8Image:
    """Return the pixels of an encoded image (PNG, JPEG, ...).

    Args:
        data: the file's bytes.
        name: what to call the image in an error.
        rgb: convert whatever is stored to RGB, as ImageNet pipelines do; False: gray stays
            gray.

    Returns:
        (H, W) uint8 for gray, (H, W, 3) uint8 for RGB.

    Raises:
        BenchError: the bytes are not a complete image.
    """
    import PIL.Image

    # what Pillow raises depends on the format and on where the file breaks
    broken = (
        OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error,
        PIL.Image.DecompressionBombError,
    )  # fmt: skip
    try:
        with PIL.Image.open(io.BytesIO(data)) as image:
            image.load()
            mode = "RGB" if rgb or image.mode not in ("1", "L", "RGB") else image.mode
            pixels = np.asarray(image.convert("L" if mode == "1" else mode), dtype=np.uint8)
    except broken as error:
        reason = "unknown format" if isinstance(error, PIL.UnidentifiedImageError) else str(error)
        raise BenchError(
            f"expected a readable image, got {len(data)} bytes that do not decode ({reason}), "
            f"in {name}; replace the file"
        ) from None
    return pixels


def size_in_words(shape: tuple[int, ...]) -> str:
    """Return "28 x 28 gray" for (28, 28), "32 x 32 RGB" for (32, 32, 3)."""
    kind = "gray" if len(shape) == 2 else "RGB" if shape[2:] == (3,) else f"{shape[2:]} channels"
    return f"{shape[0]} x {shape[1]} {kind}"
