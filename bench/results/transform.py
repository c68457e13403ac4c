"""What happens to an image before the model sees it, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

UNCHANGED = "none"
"""Images are used as stored."""

INTERPOLATIONS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")
CROP_PCT, INTERPOLATION = 0.875, "bilinear"
"""What timm does where a model's settings do not say."""


def transform_text(settings: object, transformed: bool) -> str | None:
    """Return an evaluation transform in words: "resize 256 bicubic, crop 224".

    Args:
        settings: `preprocessing` of a result's metadata; a stranger's file may hold anything.
        transformed: whether the data set's images pass a transform at all.

    Returns:
        None if the settings do not say it.
    """
    if not transformed:
        return UNCHANGED
    if not isinstance(settings, Mapping):
        return None
    size: Any = settings.get("input_size")
    part: Any = settings.get("crop_pct") or CROP_PCT
    method = settings.get("interpolation") or INTERPOLATION
    mode = settings.get("crop_mode") or "center"
    if not _is_size(size) or not _is_share(part) or method not in INTERPOLATIONS:
        return None
    _, height, width = size
    sides = math.floor(height / part), math.floor(width / part)
    to, crop = _sides(*sides), _sides(height, width)
    square = height == width
    known = {
        "center": f"resize {to}" if square else f"resize to cover {to}",
        "squash": f"squash to {_sides(*sides, always=True)}",
        "border": f"resize to fit into {_sides(*sides, always=True)}",
    }
    if not isinstance(mode, str) or mode not in known:
        return None
    return f"{known[mode]} {method}, crop {'or pad to ' if mode == 'border' else ''}{crop}"


def _is_size(size: Any) -> bool:
    return (
        isinstance(size, list | tuple)
        and len(size) == 3
        and all(isinstance(v, int) and 1 <= v <= 10_000 for v in size)
    )


def _is_share(part: Any) -> bool:
    return isinstance(part, int | float) and 0.01 <= part <= 10


def _sides(height: int, width: int, always: bool = False) -> str:
    return str(height) if height == width and not always else f"{height}x{width}"
