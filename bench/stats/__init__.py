"""Statistics: arrays in, numbers out. Knows no file and no model.

    from bench.stats import rank_sets, recipe_rank_sets

Neither is imported before it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.stats.recipes import recipe_rank_sets
    from bench.stats.simultaneous import rank_sets

__all__ = ["rank_sets", "recipe_rank_sets"]

_LAZY = {
    "rank_sets": "bench.stats.simultaneous",
    "recipe_rank_sets": "bench.stats.recipes",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'bench.stats' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
