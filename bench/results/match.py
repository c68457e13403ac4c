"""Which results may share a file: of one model, its weights, data and seed; attack by attack."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from bench.errors import BenchError
from bench.results.identity import MIXABLE, change

MODEL = ("model", "dataset", "weights_sha256", "data_fingerprint", "seed", "partial")
"""Metadata keys that must agree for results to share a file."""

CODE = ("weights", "probe", "preprocessing", "versions")
"""Metadata keys that tell whether the model's code is the same, and what changed it."""

FORM = ("schema_version", "metrics", "protocol", "protocol_hash")
"""Metadata keys that tell what the columns of rows are."""

NOTED = (*MODEL, *CODE, *FORM, "attacks", "attack_hashes")
"""What an unfinished run notes of itself, where it has it."""


def attack_identity(metadata: Mapping[str, Any], attack: str) -> str | None:
    """Return what identifies the results of one attack: of which model, on what, and how made.

    The only place that decides which rows of a file, of a block or of another protocol's file are
    the ones that a run would measure.

    Args:
        metadata: of a run or of a finished file.
        attack: name of the attack, `clean` too.

    Returns:
        SHA-256, 64 hex digits; None if the metadata do not know the attack.
    """
    hashes, settings = metadata.get("attack_hashes"), metadata.get("attacks")
    own: Any = None
    if attack == "clean":
        own = "predictions of clean images"
    elif isinstance(hashes, Mapping) and attack in hashes:
        own = hashes[attack]
    elif isinstance(settings, Mapping):
        own = settings.get(attack)
    if own is None:
        return None
    parts = [attack, own, *(metadata.get(key) for key in MODEL)]
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def difference(found: Mapping[str, Any], mine: Mapping[str, Any]) -> str | None:
    """Return in what a result's model, weights or data are others than a run's; None: in nothing.

    Args:
        found: metadata of a file, or the note of an unfinished run.
        mine: metadata of the run.
    """
    for key in MODEL:
        if found.get(key) != mine.get(key):
            return f"{key} = {_short(found.get(key))}, this run has {_short(mine.get(key))}"
    other = change(found, mine, MIXABLE)
    if other is not None and other.kind != "names":
        return f"another model: {other}"
    return None


def other_attacks(found: Mapping[str, Any], mine: Mapping[str, Any]) -> list[str]:
    """Return the attacks with rows in a file that a run would make in another way, or never."""
    present = found.get("present")
    names = [a for a, n in present.items() if n] if isinstance(present, Mapping) else []
    return [a for a in names if attack_identity(found, a) != attack_identity(mine, a)]


def refuse_others(found: Mapping[str, Any], mine: Mapping[str, Any], where: str) -> None:
    """Raise BenchError if what is at a place was made with something else than this run's."""
    remedy = "choose another --output, or --overwrite to replace it"
    other = difference(found, mine)
    if other is not None:
        raise BenchError(f"{where} was made with {other}; {remedy}")
    attacks = other_attacks(found, mine)
    if attacks:
        raise BenchError(
            f"{where} was made with other settings of {', '.join(attacks)} than this run's; "
            f"{remedy}"
        )


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 16 else text[:12] + "..."
