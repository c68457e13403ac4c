"""Where the results of a probe go, and what they say of themselves. Units and engines are those of
an evaluation: a part of a probe stands where an attack does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench.entries.probes import Probe, probe_class
from bench.results.address import Address
from bench.results.filesystem import files_at
from bench.results.probes import probe_form
from bench.results.store import Store
from bench.run.request import Request

if TYPE_CHECKING:
    from bench.run.open import Opened

DROPPED = ("protocol_text", "metrics", "expected", "partial_reasons")
"""Metadata of an evaluation that say nothing of a probe."""


def probe_of(opened: Opened) -> Probe:
    """Return the probe that an opened request asks for."""
    return probe_class(opened.request.what.probe)()


def probe_store(request: Request, dataset: str, model: str) -> Store:
    """Return where the result of a probe goes.

    Args:
        request: that asks for the probe.
        dataset: name of the data set.
        model: name of the result.
    """
    probe = probe_class(request.what.probe)()
    address = Address("probes", dataset, model).side(probe.name)
    return Store(files_at(request.where.output), address, probe_form(probe.columns))


def probe_metadata(opened: Opened, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata of a probe's result.

    A probe is measured on the first ids of the protocol, as many as were asked for; more may be
    added later, so that no number of them makes it partial.

    Args:
        opened: with the protocol's primary attack.
        known: metadata of an evaluation of the same model.
    """
    probe = probe_of(opened)
    attack, seed = opened.protocol.primary_attack, opened.job.seed
    settings = probe.model_dump(mode="json")
    parts = probe.parts(opened.loaded.input_shape)
    return {key: value for key, value in known.items() if key not in DROPPED} | {
        "kind": "probe",
        "probe_name": probe.name,
        "attacks": {part: {"probe": probe.name, "part": part, **settings} for part in parts},
        "attack_hashes": {
            part: probe.hash(part, opened.job.attack_hash(attack), seed) for part in parts
        },
        "expected": {part: len(opened.ids) for part in parts},
        "partial": False,
        "reasons": [r for r in opened.reasons if not r.startswith("first ")],
        "primary_attack": attack,
        "classes": opened.loaded.classes,
        "affine": opened.loaded.affine,
    }
