"""Encoded image bytes to pixels, with errors that name the image."""

from __future__ import annotations

import io
import struct
import warnings
from typing import TYPE_CHECKING

import numpy as np

from bench.data.base import UInt8Image
from bench.errors import BenchError

if TYPE_CHECKING:
    import PIL.Image


Shape = tuple[int, ...]
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "PPM", "TIFF", "GIF")
"""What images come in, by Pillow's names."""
MOST_PIXELS = 2**26
"""Of one image: 8192 x 8192, five times the largest of ImageNet's."""
MOST_BYTES = 2**28
"""Of one encoded image."""
_BITS_PER_SAMPLE, _SAMPLE_FORMAT = 258, 339
"""Tags of TIFF; the format is 1 for unsigned integers."""
_EXACT = ("1", "L", "P", "RGB")
_WITH_ALPHA = ("LA", "PA", "RGBA")


def decode_image(data: bytes, name: str, *, rgb: bool, shape: Shape | None = None) -> UInt8Image:
    """Return the pixels of an encoded image (PNG, JPEG, ...).

    Nothing is rounded: images of more than 8 bits a value, and those that are partly transparent,
    are refused. Size and kind are read from the header, before anything is decoded.

    Args:
        data: the file's bytes.
        name: what to call the image in an error.
        rgb: convert whatever is stored to RGB, as ImageNet pipelines do (CMYK too); False: gray
            stays gray.
        shape: what the image must be, (H, W) or (H, W, 3); None: any up to `MOST_PIXELS`.

    Returns:
        (H, W) uint8 for gray, (H, W, 3) uint8 for RGB.

    Raises:
        BenchError: the bytes are not a complete image, or not of that size, or not of 8 bits.
    """
    import PIL.Image

    # what Pillow raises depends on the format and on where the file breaks
    broken = (
        OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error,
        AttributeError, OverflowError, MemoryError, RuntimeError, PIL.Image.DecompressionBombError,
    )  # fmt: skip
    if len(data) > MOST_BYTES:
        raise BenchError(
            f"expected an image of at most {MOST_BYTES} bytes, got {len(data)}, in {name}"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large images: they are refused by their size
            with PIL.Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _check_size(image, shape, rgb, name)
                _check_exact(image, data, rgb, name)
                image.load()
                _check_opaque(image, name)
                mode = "RGB" if rgb or image.mode not in ("1", "L", "RGB") else image.mode
                wanted = "L" if mode == "1" else mode
                return np.asarray(image.convert(wanted), dtype=np.uint8)
    except broken as error:
        reason = "unknown format" if isinstance(error, PIL.UnidentifiedImageError) else str(error)
        raise BenchError(
            f"expected a readable image, got {len(data)} bytes that do not decode ({reason}), "
            f"in {name}; replace the file"
        ) from None


def _check_size(image: PIL.Image.Image, shape: Shape | None, rgb: bool, name: str) -> None:
    width, height = image.size
    if shape is not None and (height, width) != shape[:2]:
        gray = image.mode in ("1", "L") and not rgb
        raise wrong_size(shape, (height, width) if gray else (height, width, 3), name)
    if width * height > MOST_PIXELS:
        raise BenchError(
            f"expected at most {MOST_PIXELS} pixels, got {height} x {width}, in {name}; replace "
            "the file"
        )


def _check_exact(image: PIL.Image.Image, data: bytes, rgb: bool, name: str) -> None:
    """Raise BenchError for images whose values do not fit into 8 bits, and for several in one."""
    found = None
    if image.mode not in (*_EXACT, *_WITH_ALPHA, *(("CMYK",) if rgb else ())):
        found = f"mode {image.mode}"
    elif (bits := _bits(image, data)) > 8:
        found = f"{bits} bits a value"
    elif image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
        found = f"{getattr(image, 'n_frames', 1)} pictures in one file"
    if found is not None:
        raise BenchError(
            f"expected an image of 8 bits a value, gray or RGB, got {found}, in {name}; "
            "it would be rounded: give the data set as it was published"
        )


def _bits(image: PIL.Image.Image, data: bytes) -> int:
    """Return the bits of one value as they are stored, which Pillow's mode does not always say."""
    if image.format == "PNG":
        return data[24]
    if image.format == "TIFF":
        tags = image.tag_v2  # type: ignore[attr-defined]
        if set(np.atleast_1d(tags.get(_SAMPLE_FORMAT, 1))) != {1}:
            return 32  # signed, or not whole
        return int(max(np.atleast_1d(tags.get(_BITS_PER_SAMPLE, 1))))
    tiles = getattr(image, "tile", ())
    if image.format == "PPM" and tiles and isinstance(tiles[0].args, tuple):
        largest = [v for v in tiles[0].args if type(v) is int]
        return largest[-1].bit_length() if largest else 8
    return 8


def _check_opaque(image: PIL.Image.Image, name: str) -> None:
    """Raise BenchError if some pixel is not opaque: nobody says what shows through."""
    if not image.has_transparency_data:
        return
    alpha = np.asarray(image.convert("RGBA"))[..., 3]
    if (alpha != 255).any():
        raise BenchError(
            f"expected an opaque image, got one with transparent pixels, in {name}; "
            "it would lose them: give the data set as it was published"
        )


def wrong_size(expected: Shape, found: Shape, where: str) -> BenchError:
    """Return the error for an image of another size or kind, (H, W) or (H, W, 3) each."""
    return BenchError(
        f"expected {size_in_words(expected)} images, got {size_in_words(found)}, in {where}; "
        "give the data set in its original size"
    )


def size_in_words(shape: tuple[int, ...]) -> str:
    """Return "28 x 28 gray" for (28, 28), "32 x 32 RGB" for (32, 32, 3)."""
    kind = "gray" if len(shape) == 2 else "RGB" if shape[2:] == (3,) else f"{shape[2:]} channels"
    return f"{shape[0]} x {shape[1]} {kind}"
