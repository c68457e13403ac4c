"""How earlier versions wrote attack settings into a result's metadata.

Version 1 had one class for all algorithms and wrote every key of it, also those of others.
"""

from __future__ import annotations

from typing import Any

from bench.entries.attacks import AttackSettings

_VERSION_1: dict[str, Any] = {
    "algorithm": None,
    "norm": None,
    "steps": None,
    "implementation": "bench",
    "version": None,
    "epsilon": None,
    "epsilon_scale": "sum",
    "step_size": None,
    "step_scale": "relative",
    "random_start": False,
    "learning_rate": None,
    "learning_rate_decay": 0.5,
    "learning_rate_decays": 20,
    "momentum": 0.8,
    "overshoot": 1.1,
    "binary_search_steps": 10,
    "nominal_batch": 20,
}
"""Keys of version 1 with their defaults; `nearest_starts` stood there where it was not 0."""


def settings_as_written(settings: AttackSettings, schema_version: object) -> dict[str, Any]:
    """Return what a result of a schema version says of an attack under `attacks`, JSON-ready."""
    if schema_version != 1:
        return settings.model_dump(mode="json")
    form = {key: getattr(settings, key, default) for key, default in _VERSION_1.items()}
    starts = getattr(settings, "nearest_starts", 0)
    return form | ({"nearest_starts": starts} if starts else {})
