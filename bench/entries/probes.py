"""What a probe of an opened model is, and what each says of itself.

A probe is one folder in `bench/probes/`: a class of its settings, which also measures and reports,
and one entry of `bench.entries.probe_names.PROBES`; no other place has to know it.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from bench.entries.attacks import digest
from bench.entries.fields import Frozen
from bench.entries.probe_names import PROBES
from bench.errors import unknown_name

Kind = Literal["float", "floats", "halves", "flag", "flags", "whole", "text"]
"""Of a column: a number, a list of numbers (float32; float16: halves), and so on."""

HEAD: dict[str, Kind] = {"label": "whole", "reference": "whole", "status": "text"}
"""Columns that every probe has besides probe, model, dataset, attack and sample_id.

reference: the class that the model is attacked from, null where it is not: the label where it is
predicted, and what an untrained twin predicts, whatever the label. status: `ok`, `clean_wrong`, or
what the probe says."""


class Probe(Frozen):
    """A probe with its settings. A subclass adds keys and writes `parts`, `columns`, `measure`.

    The rules are those of attacks: a key that comes later needs a default under which the probe is
    what it was before, and a change of results raises `version`.
    """

    version: int = Field(default=1, ge=1)

    name: ClassVar[str]
    columns: ClassVar[Mapping[str, Kind]]
    """Its own columns, besides HEAD."""

    def parts(self, shape: tuple[int, int, int]) -> tuple[str, ...]:
        """Return what is measured of each sample, one row each, for images (C, H, W)."""
        raise NotImplementedError

    def measure(
        self, job: Any, part: str, ids: Sequence[int], control: bool
    ) -> Mapping[str, Sequence[Any]]:
        """Measure one part on some samples.

        Args:
            job: `bench.measure.job.Job`, model and images, with the protocol's primary attack.
            part: one of `parts`.
            ids: of the samples.
            control: the model is untrained; its own predictions are the reference.

        Returns:
            Column -> (len(ids)) values; None or NaN where a quantity does not exist.
        """
        raise NotImplementedError

    def report(self, subjects: Sequence[Any]) -> Any:
        """Return a `bench.probes.report.Report` of measured models (`bench.probes.tables.Subject`),
        each with its untrained twin where there is one."""
        raise NotImplementedError

    def hash(self, part: str, attack_hash: str, seed: int) -> str:
        """Return the identity of a part's rows, whatever samples it is measured on."""
        parts = {
            "probe": self.name,
            "part": part,
            "settings": self.model_dump(mode="json", exclude_defaults=True),
            "version": self.version,
            "attack": attack_hash,
            "seed": seed,
        }
        return digest(parts)


def probe_class(name: str) -> type[Probe]:
    """Return the class of a probe.

    Raises:
        BenchError: there is no such probe.
    """
    if name not in PROBES:
        raise unknown_name("probe", name, PROBES)
    module, _, kind = PROBES[name].where.partition(":")
    found: type[Probe] = getattr(importlib.import_module(module), kind)
    return found
