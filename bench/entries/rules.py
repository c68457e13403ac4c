"""What one table holds results to: the protocol on one data set and one input size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bench.entries import registry
from bench.entries.attacks import AttackSettings
from bench.entries.dataset import DatasetEntry
from bench.entries.protocol import Gates, Protocol
from bench.errors import BenchError


@dataclass(frozen=True)
class Rules:
    """One protocol on one data set, as the registry states it now.

    Attributes:
        protocol: the protocol's entry.
        dataset: the data set's entry.
        hash: SHA-256 of the protocol's normative fields for this data set.
        hashes: that one, and earlier ones under which results were written.
        ids: the sample ids, in the protocol's order.
        attack_hashes: attack or witness -> its identity.
    """

    protocol: Protocol
    dataset: DatasetEntry
    hash: str
    hashes: tuple[str, ...]
    ids: tuple[int, ...]
    attack_hashes: Mapping[str, str]

    @property
    def attacks(self) -> Mapping[str, AttackSettings]:
        """Attack name -> settings, in the protocol's order."""
        return self.protocol.attacks

    @property
    def witnesses(self) -> Mapping[str, AttackSettings]:
        """Witness name -> settings: attacks that test the minimal ones on a subset."""
        return self.protocol.witnesses

    @property
    def everything(self) -> Mapping[str, AttackSettings]:
        """Attacks and witnesses."""
        return {**self.attacks, **self.witnesses}

    def needed(self, name: str, schema_version: int = 2) -> tuple[str, ...]:
        """Return the attacks that a submission needs.

        Args:
            name: `<model>[@random][@seedN]`; further seeds and untrained twins need the primary
                attack only.
            schema_version: of its file; in version 1 all need all.
        """
        lean = "@" in name and schema_version > 1
        return (self.primary,) if lean else tuple(self.attacks)

    @property
    def primary(self) -> str:
        """Name of the attack that ranks."""
        return self.protocol.primary_attack

    @property
    def gates(self) -> Gates:
        """What a result must reach to be ranked."""
        return self.protocol.gates


def rules(protocol: str, dataset: str) -> Rules:
    """Return the rules of a protocol on a data set.

    Raises:
        BenchError: the registry does not have one of them.
    """
    return _rules(protocol, dataset, registry.registry_dir())


@cache
def _rules(protocol: str, dataset: str, root: Path) -> Rules:
    """The hash covers every sample id, so it is worked out once for each registry."""
    found, data = registry.protocol(protocol), registry.dataset(dataset)
    current = found.hash(dataset)
    hashes = (current, *registry.earlier_hashes(protocol, dataset))
    attacks = {
        name: found.attack_hash(dataset, name) for name in (*found.attacks, *found.witnesses)
    }
    return Rules(found, data, current, hashes, found.sample_ids(dataset), attacks)


def rules_for(metadata: Mapping[str, Any]) -> Rules:
    """Return the rules that a result was measured under.

    Raises:
        BenchError: protocol or data set unknown, or the protocol has changed since.
    """
    current = rules(str(metadata.get("protocol")), str(metadata.get("dataset")))
    found = str(metadata.get("protocol_hash"))
    if found not in current.hashes:
        raise BenchError(
            f"expected protocol hash {current.hash[:12]} ({current.protocol.name} as the registry "
            f"has it), found {found[:12]}; measure it again"
        )
    return current
