"""The rows of a result as arrays, in the order of the protocol's attacks and ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bench.entries import ids as sample_ids
from bench.entries.rules import Rules
from bench.metrics import METRICS
from bench.results.challenges import Best
from bench.results.schema import BROKEN
from bench.stats.bootstrap import Bools, Floats

COLUMNS = ("attack", "sample_id", "clean_correct", "success", "status", "zero_grad")
SHOWN = tuple(m.name for m in METRICS if m.shown is not None)
"""Quantities whose means the board shows."""


@dataclass(frozen=True)
class Samples:
    """The rows of one submission as arrays; A attacks and n ids, both in the protocol's order.

    Attributes:
        present: (A, n) a row is there.
        clean_correct: (A, n).
        success: (A, n) clean-correct and fooled.
        broken: (A, n) the attack or the logits broke down, or it could not take its steps.
        zero_grad: (A, n) the loss gradient at the clean image is exactly zero.
        graded: (A, n) zero_grad was measured.
        norm: (A, n) in the attack's own norm; NaN where not attacked.
        quantities: name -> (A, n), those of SHOWN; NaN where the file does not have it.
        witnesses: name -> (n,) distance that a witness found, in its own norm; infinite where it
            fooled nothing or broke down, NaN where it has no row.
        challenged: attack -> shortest distances that others have sent (`bench challenge`).
    """

    present: Bools
    clean_correct: Bools
    success: Bools
    broken: Bools
    zero_grad: Bools
    graded: Bools
    norm: Floats
    quantities: Mapping[str, Floats]
    witnesses: Mapping[str, Floats]
    challenged: Mapping[str, Best] = field(default_factory=dict)

    @property
    def kept(self) -> Bools:
        """(A, n) clean-correct and fooled, with a spectrum."""
        return self.fooled & ~np.isnan(self.quantities["rfc"])

    @property
    def fooled(self) -> Bools:
        """(A, n) clean-correct and fooled by an attack that did its work."""
        return self.success & ~self.broken

    @property
    def distance(self) -> Floats:
        """(A, n) norm that fools, infinite where none was found; NaN where not attacked."""
        attacked = self.present & self.clean_correct
        return np.where(attacked, np.where(self.fooled, self.norm, np.inf), np.nan)


def arrange(table: pa.Table, rules: Rules) -> Samples:
    """Return the rows of a table that has COLUMNS and the quantities that its file has."""
    attacks, ids = list(rules.attacks), np.asarray(rules.ids)
    where, known = _places(table, attacks, ids)
    shape = (len(attacks), len(ids))

    in_order = known is None and np.array_equal(where, np.arange(shape[0] * shape[1]))

    def spread(values: Any, empty: Any) -> Any:
        if in_order:
            return values.reshape(shape)
        result = np.full(shape[0] * shape[1], empty)
        result[where] = values if known is None else values[known]
        return result.reshape(shape)

    def flags(name: str) -> Any:
        return pc.fill_null(table[name], False).to_numpy()

    status = table["status"].combine_chunks()
    codes = pc.fill_null(status.indices, 0).to_numpy(zero_copy_only=False)
    broken = [i for i, s in enumerate(status.dictionary.to_pylist()) if s in BROKEN]

    def quantity(name: str) -> Any:
        if name not in table.column_names:
            return np.full(shape, np.nan)
        return spread(table[name].to_numpy(), np.nan)

    norms = {q: quantity(q) for q in {s.norm for s in rules.attacks.values()}}
    return Samples(
        present=spread(np.ones(len(table), dtype=bool), False),
        clean_correct=spread(flags("clean_correct"), False),
        success=spread(flags("success") & flags("clean_correct"), False),
        broken=spread(np.isin(codes, broken), False),
        zero_grad=spread(flags("zero_grad"), False),
        graded=spread(table["zero_grad"].is_valid().to_numpy(), False),
        norm=np.stack([norms[s.norm][i] for i, s in enumerate(rules.attacks.values())]),
        quantities={name: quantity(name) for name in SHOWN},
        witnesses={name: _witness(table, name, s.norm, ids) for name, s in rules.witnesses.items()},
    )


def _witness(table: pa.Table, name: str, norm: str, ids: Any) -> Floats:
    """Return a witness's distances (n,) in the order of the protocol's ids."""
    rows = table.filter(pc.equal(table["attack"].cast(pa.string()), name))
    place, known = sample_ids.places(ids, pc.fill_null(rows["sample_id"], -1).to_numpy())
    status = pc.fill_null(rows["status"].cast(pa.string()), "").to_numpy()
    fooled = pc.fill_null(rows["success"], False).to_numpy() & ~np.isin(status, BROKEN)
    found: Floats = np.full(len(ids), np.nan)
    found[place[known]] = np.where(fooled, rows[norm].to_numpy(), np.inf)[known]
    return found


def _places(table: pa.Table, attacks: list[str], ids: Any) -> tuple[Any, Any]:
    """Return each row's place in (A, n), flat, and which rows have one (None: all).

    Both are None if the rows are complete and in the protocol's order, as they usually are.
    """
    column = table["attack"].combine_chunks()
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    names = column.dictionary.to_pylist()
    code = np.array([attacks.index(n) if n in attacks else -1 for n in names] or [-1])
    attack = code[pc.fill_null(column.indices, 0).to_numpy(zero_copy_only=False)]
    sample = pc.fill_null(table["sample_id"], -1).to_numpy()
    if len(attack) == len(attacks) * len(ids):
        whole = (attack.reshape(-1, len(ids)) == np.arange(len(attacks))[:, None]).all()
        if whole and (sample.reshape(-1, len(ids)) == ids).all():
            return None, None
    place, there = sample_ids.places(ids, sample)
    known = (attack >= 0) & there
    where = attack * len(ids) + place
    return (where, None) if known.all() else (where[known], known)
