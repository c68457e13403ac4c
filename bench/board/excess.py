"""How far a protocol's minimal attacks are above the minimum that the ranking protocol found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from bench.board.numbers import ModelSummary
from bench.board.table import Excess, Row, Table
from bench.entries.ids import places
from bench.results.read import read_samples
from bench.results.samples import Samples
from bench.stats.bootstrap import Floats
from bench.stats.intervals import mean_interval, proportion_interval
from bench.stats.optimality import LONGER

Key = tuple[str, tuple[int, int], str, str]


def with_excess(tables: Sequence[Table]) -> list[Table]:
    """Return the tables; rows of protocols that do not rank know their excess over the minimum.

    Results belong together if data set, input size, name and weights are the same: a file may
    claim the weights of another model, but not its name.
    """
    known: dict[Key, ModelSummary] = {}
    for table in tables:
        for row in table.rows if table.ranks else ():
            for model in (row.model, *row.seeds.counted.values()):
                known[_key(table, model)] = model
    return [table if table.ranks else _against(table, known) for table in tables]


def _key(table: Table, model: ModelSummary) -> Key:
    return table.rules.dataset.name, table.size, model.name, model.weights


def _against(table: Table, known: Mapping[Key, ModelSummary]) -> Table:
    def beside(row: Row) -> Row:
        found = known.get(_key(table, row.model)) if row.model.weights else None
        return row if found is None else replace(row, excess=_excesses(row.model, found))

    return replace(table, unranked=tuple(beside(row) for row in table.unranked))


def _excesses(model: ModelSummary, best: ModelSummary) -> dict[str, Excess]:
    theirs, ours = model.submission.rules, best.submission.rules
    a, b = read_samples(model.submission), read_samples(best.submission)
    place, there = places(ours.ids, theirs.ids)
    found = {}
    for here, (name, spec) in enumerate(theirs.attacks.items()):
        same = [n for n, s in ours.attacks.items() if s.minimal and s.norm == spec.norm]
        if not spec.minimal or not same:
            continue
        shortest, rfc = _of(b, list(ours.attacks).index(same[0]))
        # in the order of this protocol's ids
        minimum = np.where(there, shortest[place], np.nan), np.where(there, rfc[place], np.nan)
        excess = _excess(same[0], _of(a, here), minimum, theirs.protocol.seed)
        if excess.n:
            found[name] = excess
    return found


Part = tuple[Floats, Floats]
"""(n,) distances, infinite where not fooled, NaN where not attacked; (n,) RFC, NaN if not kept."""


def _of(rows: Samples, attack: int) -> Part:
    rfc = np.where(rows.kept[attack], rows.quantities["rfc"][attack], np.nan)
    return rows.distance[attack], rfc


def _excess(name: str, found: Part, minimum: Part, seed: int) -> Excess:
    d, shortest = found[0], minimum[0]
    used = ~np.isnan(d) & np.isfinite(shortest) & (shortest > 0)
    over = d[used] / shortest[used] - 1
    n, longer = int(used.sum()), int((over > LONGER).sum())
    difference = found[1] - minimum[1]
    both = ~np.isnan(difference)
    return Excess(
        minimum=name,
        n=n,
        median=float(np.median(over)) if n else float("nan"),
        longer=proportion_interval(longer, n),
        rfc=mean_interval(difference, both, seed),
        common=int(both.sum()),
    )
