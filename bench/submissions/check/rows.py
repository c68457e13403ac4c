"""A submission's columns as arrays, and what each row must and can't have."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.entries.rules import Rules
from bench.metrics import Metric, Missing, definitions, readable
from bench.results import schema
from bench.results.columns import Columns
from bench.results.metadata import Metadata

Array = npt.NDArray[Any]


class Rows:
    """A submission's columns as arrays, and which rows belong to which attack.

    Attributes:
        columns: the file's rows.
        rules: what they are held to.
        shape: (C, H, W) of the model's input.
        name: `<model>[@random][@seedN]`.
        version: of the file's layout.
        metrics: the metrics that it has, as they are defined now.
        dims: number of input values C * H * W.
    """

    def __init__(
        self,
        columns: Columns,
        rules: Rules,
        shape: tuple[int, int, int],
        name: str,
        metadata: Metadata | None,
    ) -> None:
        self.columns, self.rules, self.shape, self.name = columns, rules, shape, name
        self.version = schema.VERSION if metadata is None else metadata.schema_version
        stated = definitions() if metadata is None else metadata.metrics
        self.metrics = tuple(m for m in readable(stated) if m.name in columns.names)
        self.dims = shape[0] * shape[1] * shape[2]

    def __len__(self) -> int:
        return len(self.columns)

    def __getitem__(self, name: str) -> Array:
        """A column: text as str, whole numbers with -1, flags with False, numbers with NaN."""
        return self.columns[name]

    def null(self, name: str) -> Array:
        """(N,) True where the column is null."""
        return self.columns.null(name)

    @cached_property
    def measured(self) -> Array:
        """(N,) True where the perturbation was measured."""
        return ~np.isin(self["status"], schema.UNMEASURED)

    @cached_property
    def zero(self) -> Array:
        """(N,) True where the perturbation was measured and is zero."""
        return np.asarray(self.measured & (self["l0"] == 0), dtype=bool)

    @cached_property
    def spectral(self) -> Array:
        """(N,) True where the perturbation surely has power outside DC."""
        rest = ~self.zero & ~(self["dc_share"] >= 1 - 1e-12)
        return np.asarray(self.measured & rest, dtype=bool)

    def whole(self, attack: str) -> bool:
        """Whether profiles belong to every row of an attack, not to its mean alone."""
        return self.version == 1 or (attack == self.rules.primary and "@" not in self.name)

    def must_have(self, metric: Metric) -> Array:
        """(N,) True where a row can't lack a metric."""
        there = {
            Missing.NEVER: self.measured,
            Missing.ZERO_DELTA: self.measured & ~self.zero,
            Missing.NO_POWER: self.spectral,
        }.get(metric.missing, np.zeros(len(self), dtype=bool))
        given = np.zeros(len(self), dtype=bool)
        for attack in self.rules.everything:
            here = self.of(attack)
            if metric.length is not None and not self.whole(attack):
                continue
            # what came later may be missing under an attack that was measured before
            late = metric.since > 1 and bool(np.isnan(self[metric.name])[here].all())
            given |= here & (not late)
        return np.asarray(there & given, dtype=bool)

    def must_lack(self, metric: Metric) -> Array:
        """(N,) True where a row can't have a metric."""
        gone = ~self.measured
        if metric.missing in (Missing.ZERO_DELTA, Missing.NO_POWER):
            gone = gone | self.zero
        if metric.missing is Missing.ZERO_GRADIENT:
            gone = gone | self["zero_grad"]
        return np.asarray(gone, dtype=bool)

    def of(self, attack: str) -> Array:
        """(N,) True for the rows of one attack."""
        return np.asarray(self["attack"] == attack, dtype=bool)
