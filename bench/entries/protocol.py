"""Protocols: `registry/protocols/<name>.toml`.

A protocol is a view: which attacks, on which samples, which one ranks, which gates. The unit of
identity is the attack; a protocol's hash covers the identities of its attacks and its own
normative fields. A key that comes later, left out, changes no hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from itertools import islice
from typing import Any, Literal

from pydantic import Field, model_validator

from bench.entries.attacks import AnyAttack, attack_hash, digest
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
    min_minimal_success: float | None = Field(default=None, ge=0, le=1)
    """Share of the clean-correct that each minimal attack must fool."""
    max_above_best: float | None = Field(default=None, ge=0, le=1)
    """Share of the primary attack's witness subset that may be more than 1 % above the best known
    distance."""
    max_mean_excess: float | None = Field(default=None, ge=0)
    """Mean of distance / best known distance - 1 that the witness subset may have."""
    max_broken: float | None = Field(default=None, ge=0, le=1)
    """Share of the primary attack's clean-correct rows that may be nonfinite or stalled."""


class Protocol(Frozen):
    """A fixed way of measuring: `registry/protocols/<name>.toml`."""

    name: Name
    title: str
    seed: Seed
    metrics_version: int = Field(default=1, ge=1)
    """Of earlier files; which metrics a result has is in its own metadata."""
    primary_attack: str
    selection: dict[str, Selection]
    """By data set name; "default" is for all others."""
    gates: Gates
    attacks: dict[str, AnyAttack] = Field(min_length=1)
    witnesses: dict[str, AnyAttack] = Field(default_factory=dict)
    """Attacks of other families that test the minimal ones on a subset; in no hash, not needed
    for a complete result."""
    witness_count: int = Field(default=128, ge=1)
    """Clean-correct samples, in a seeded order, that the witnesses run on."""
    ranks: bool = True
    """False: its tables are shown, but rank nobody."""
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
        both = sorted(self.attacks.keys() & self.witnesses.keys())
        if both:
            raise ValueError(f"{both[0]!r} is both an attack and a witness; rename one")
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

    def attack_hash(self, dataset: str, attack: str) -> str:
        """Return the identity of one of its attacks or witnesses, 64 hex digits."""
        settings = {**self.attacks, **self.witnesses}[attack]
        return attack_hash(attack, settings, self.seed, self.sample_ids(dataset))

    def witness_order(self, dataset: str) -> tuple[int, ...]:
        """Return the ids in the order, drawn from the seed, that witnesses take them in."""

        def draw(sample_id: int) -> bytes:
            return hashlib.sha256(f"{self.seed} witness {sample_id}".encode()).digest()

        return tuple(sorted(self.sample_ids(dataset), key=draw))

    def witness_ids(self, dataset: str, correct: Collection[int]) -> tuple[int, ...]:
        """Return the ids that witnesses run on, in their order: the first clean-correct ones.

        Args:
            dataset: its name.
            correct: ids that the model classifies correctly.
        """
        chosen = (i for i in self.witness_order(dataset) if i in correct)
        return tuple(islice(chosen, self.witness_count))

    def normative(self, dataset: str) -> dict[str, Any]:
        """Return the fields that decide the numbers on one data set, JSON-ready."""
        return {
            "dataset": dataset,
            "seed": self.seed,
            "primary_attack": self.primary_attack,
            "sample_ids": list(self.sample_ids(dataset)),
            "gates": self.gates.model_dump(mode="json", exclude_none=True),
            "attacks": {name: self.attack_hash(dataset, name) for name in sorted(self.attacks)},
        }

    def hash(self, dataset: str) -> str:
        """Return the SHA-256 of the normative fields for one data set, 64 hex digits."""
        return digest(self.normative(dataset))
