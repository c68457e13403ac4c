"""Where the images of a study come from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """Where images come from, as for `bench train`."""

    data: str | None = None
    data_dir: str | None = None
    limit: int | None = None
    """First so many images of either split: for trials and tests."""
    offline: bool = False
