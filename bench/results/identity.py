"""Did a model change between two results? Compares what their metadata say; nothing is loaded.

Two signs are read together: the hash of the state dict, and the logits on the probe images of
`bench.models.identity`. Either may be missing in files of others and in old ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

TOLERANCE = 1e-4
"""Largest difference of a probe logit, as a share of the image's largest absolute logit. Float32
rounding makes some 3e-6, GELU's tanh form instead of its exact one 1e-4 to 3e-4."""
MIXABLE = 1e-3
"""Rows of models that differ by less may share a file: devices may differ as much."""

PACKAGES = ("timm", "torch", "torchvision", "frequency-bench")
"""Whose versions may change a model's code."""


@dataclass(frozen=True)
class Change:
    """What changed from one result's model to another's.

    Attributes:
        kind: weights; names (another state dict of the same function); transform; or code.
        text: half a sentence for people.
    """

    kind: Literal["weights", "names", "transform", "code"]
    text: str

    def __str__(self) -> str:
        return self.text


def change(
    before: Mapping[str, Any], now: Mapping[str, Any], tolerance: float = TOLERANCE
) -> Change | None:
    """Return what changed from one result's model to another's, None if nothing did.

    Args:
        before: metadata of the earlier result (JSON; not to be trusted).
        now: metadata of the present one.
        tolerance: of the logits.
    """
    hashes = [_state_hash(metadata) for metadata in (before, now)]
    difference = logit_difference(before.get("probe"), now.get("probe"))
    other_logits = difference is not None and difference > tolerance
    settings = _settings(before.get("preprocessing"), now.get("preprocessing"))
    off = f"the logits on the probe images differ by {difference or 0:.2g} of the largest one "
    off += f"(tolerance {tolerance:g})"
    if None not in hashes and hashes[0] != hashes[1]:
        arrow = f"state dict {str(hashes[0])[:12]} -> {str(hashes[1])[:12]}"
        if difference is None:
            return Change("weights", f"weights changed: {arrow}")
        if other_logits:
            return Change("weights", f"weights changed: {arrow}; {off}")
        same = f"{arrow}, but the logits on the probe images are the same within {tolerance:g}"
        return Change("names", f"{same}: tensors were renamed, reordered, or hardly changed")
    if settings:
        return Change("transform", f"same weights, other evaluation transform: {settings}")
    if other_logits:
        return Change("code", f"same weights, other logits: {_cause(before, now)}; {off}")
    return None


def logit_difference(before: object, now: object) -> float | None:
    """Return the largest difference of two probes, as a share of the largest absolute logit.

    Args:
        before: "probe" of one result's metadata.
        now: that of another.

    Returns:
        None if they can't be compared; infinity if shapes differ or a value is not finite in one.
    """
    first, second = _logits(before), _logits(now)
    if first is None or second is None:
        return None
    if [len(row) for row in first] != [len(row) for row in second]:
        return math.inf
    worst = 0.0
    for one, other in zip(first, second, strict=True):
        scale = max((abs(v) for v in (*one, *other) if v is not None), default=0.0)
        for a, b in zip(one, other, strict=True):
            if (a is None) != (b is None):
                return math.inf
            if a is not None and b is not None and a != b:
                worst = max(worst, abs(a - b) / scale)
    return worst


def _logits(probe: object) -> list[list[float | None]] | None:
    if not isinstance(probe, Mapping) or probe.get("version") != 1:
        return None
    rows = probe.get("logits")
    if not isinstance(rows, list) or not rows or not all(isinstance(r, list) and r for r in rows):
        return None
    numbers = (int, float, type(None))
    if not all(isinstance(v, numbers) and not isinstance(v, bool) for row in rows for v in row):
        return None
    return [[None if v is None or not math.isfinite(v) else float(v) for v in r] for r in rows]


def _state_hash(metadata: Mapping[str, Any]) -> str | None:
    weights = metadata.get("weights")
    found = weights.get("state_dict_sha256") if isinstance(weights, Mapping) else None
    return found if isinstance(found, str) else None


def _settings(before: object, now: object) -> str:
    """Return the settings of the transform that both state and that differ."""
    if not isinstance(before, Mapping) or not isinstance(now, Mapping):
        return ""
    return ", ".join(
        f"{key} {_short(before[key])} -> {_short(now[key])}"
        for key in now
        if key in before and before[key] != now[key]
    )


def _cause(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    versions = [metadata.get("versions") for metadata in (before, now)]
    old, new = (v if isinstance(v, Mapping) else {} for v in versions)
    moved = [
        f"{name} {_short(old.get(name))} -> {_short(new.get(name))}"
        for name in PACKAGES
        if old.get(name) != new.get(name)
    ]
    return ", ".join(moved) or "the model's code changed (the versions of timm and torch did not)"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
