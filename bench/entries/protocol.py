"""Protocols: `registry/protocols/<name>.toml`."""

from __future__ import annotations

import hashlib
import json
from typing import Literal

from pydantic import Field, model_validator

from bench.entries.attacks import AttackSpec
from bench.entries.fields import Count, Frozen, Inside, Name, Seed


class Selection(Frozen):
    """Which samples of the test split a protocol measures on."""

    rule: Literal["first", "list"]
    count: Count
    file: Inside | None = None
    """rule = "list": text file relative to `registry/`, one sample id a line."""
    ids: tuple[int, ...] | None = Field(default=None, repr=False)
    """Filled from `file` when the protocol is read."""


class Gates(Frozen):
    """What a result must reach to be ranked."""

    min_accuracy_over_chance: float = Field(gt=0)
    min_kept: int = Field(ge=1)
    kept_attack: str
    min_minimal_success: float = Field(ge=0, le=1)


class Protocol(Frozen):
    """A fixed way of measuring: `registry/protocols/<name>.toml`."""

    name: Name
    title: str
    seed: Seed
    metrics_version: int = Field(ge=1)
    primary_attack: str
    selection: dict[str, Selection]
    """By data set name; "default" is for all others."""
    gates: Gates
    attacks: dict[str, AttackSpec] = Field(min_length=1)
    notes: str = ""
    readings: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _refers_to_its_attacks(self) -> Protocol:
        for key, name in (
            ("primary_attack", self.primary_attack),
            ("gates.kept_attack", self.gates.kept_attack),
        ):
            if name not in self.attacks:
                raise ValueError(f"{key} = {name!r} is not one of its attacks")
        if "default" not in self.selection:
            raise ValueError('[selection] needs the table "default"')
        return self

    def sample_ids(self, dataset: str) -> tuple[int, ...]:
        """Return the ids (indices in the test split) that this protocol measures, in order."""
        chosen = self.selection.get(dataset, self.selection["default"])
        if chosen.rule == "list":
            assert chosen.ids is not None, "the registry fills ids when it reads the protocol"
            return chosen.ids
        return tuple(range(chosen.count))

    def normative(self, dataset: str) -> dict[str, object]:
        """Return the fields that decide the numbers on one data set, JSON-ready."""
        return {
            "dataset": dataset,
            "seed": self.seed,
            "metrics_version": self.metrics_version,
            "primary_attack": self.primary_attack,
            "sample_ids": list(self.sample_ids(dataset)),
            "gates": self.gates.model_dump(mode="json"),
            "attacks": {k: v.model_dump(mode="json") for k, v in sorted(self.attacks.items())},
        }

    def hash(self, dataset: str) -> str:
        """Return the SHA-256 of the normative fields for one data set, 64 hex digits."""
        text = json.dumps(self.normative(dataset), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
