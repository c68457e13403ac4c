"""One table of the board and public tables -> matches, joined columns, rank correlations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.board.join.column import CARRIED, check_column, resampled_values, values
from bench.board.join.match import Match, known, match
from bench.board.join.table import External
from bench.board.table import Board, Row, Table
from bench.errors import BenchError, unknown_name
from bench.stats.bootstrap import Floats
from bench.stats.correlation import Correlation, rank_correlations


@dataclass(frozen=True)
class Joined:
    """Public numbers beside one table of the board.

    Attributes:
        table: the board's: one data set, protocol hash and input size.
        metric: column of the board that is correlated.
        attack: whose.
        carried: the intervals carry the uncertainty of `metric` over samples as well.
        rows: its models, in the table's order.
        external: the public tables.
        matches: for each public table, one for each model.
        correlations: column ("<table>.<column>") -> over the ranked models that have both.
    """

    table: Table
    metric: str
    attack: str
    carried: bool
    rows: tuple[Row, ...]
    external: tuple[External, ...]
    matches: tuple[tuple[Match, ...], ...]
    correlations: dict[str, Correlation]

    @property
    def matched(self) -> tuple[Row, ...]:
        """Models that a public table has."""
        return tuple(
            row
            for place, row in enumerate(self.rows)
            if any(found[place].place is not None for found in self.matches)
        )


def choose(board: Board, dataset: str | None, protocol: str | None) -> list[Table]:
    """Return the board's tables of a data set and protocol (None: any).

    Raises:
        BenchError: there is none.
    """
    for kind, name, names in (
        ("dataset", dataset, {t.rules.dataset.name for t in board.tables}),
        ("protocol", protocol, {t.rules.protocol.name for t in board.tables}),
    ):
        if name is not None and name not in names:
            raise unknown_name(f"{kind} of the submissions", name, names)
    chosen = [
        table
        for table in board.tables
        if dataset in (None, table.rules.dataset.name)
        and protocol in (None, table.rules.protocol.name)
    ]
    if not chosen:
        raise BenchError(
            "expected submissions to join with, found none; name their folder with --submissions"
        )
    return chosen


def join(
    tables: Sequence[Table],
    external: Sequence[External],
    metric: str = "rfc",
    attack: str | None = None,
    carry: bool = True,
) -> list[Joined]:
    """Join public tables to each table of the board.

    Args:
        tables: of the board; each is joined alone.
        external: public tables.
        metric: a column of the board.
        attack: whose; None: the protocol's primary one.
        carry: let the intervals carry the uncertainty of the figure over samples.

    Raises:
        BenchError: unknown metric or attack, or a public table that names no model of the board.
    """
    found = [_join(table, external, metric, attack, carry) for table in tables]
    for place, table in enumerate(external):
        if not any(m.place is not None for joined in found for m in joined.matches[place]):
            names = [row.model.name for joined in found for row in joined.rows]
            raise BenchError(
                f"expected rows of models of the board ({', '.join(names[:3])}, ... ), got "
                f"{len(table.rows)} others ({table.rows[0].key[:60]!r}, ...), in {table.path}; "
                "correct the names, or name the column of model names with --key"
            )
    return found


def _join(
    table: Table, external: Sequence[External], metric: str, attack: str | None, carry: bool
) -> Joined:
    chosen = check_column(table, metric, attack)
    models = [
        known(row.model.name, metadata.entry, metadata.weights.kind, table.size[1])
        for row in table.rows
        if (metadata := row.model.submission.metadata)
    ]
    matches = tuple(tuple(match(models, other)) for other in external)
    carried = carry and metric in CARRIED
    joined = Joined(
        table=table,
        metric=metric,
        attack=chosen,
        carried=carried,
        rows=table.rows,
        external=tuple(external),
        matches=matches,
        correlations={},
    )
    joined.correlations.update(_correlations(joined))
    return joined


def _correlations(joined: Joined) -> dict[str, Correlation]:
    """Over the models that pass the gates: another that fails a gate has no figure to rely on."""
    table = joined.table
    able = [i for i, row in enumerate(joined.rows) if row.model.ranked]
    used = [i for i in able if any(found[i].place is not None for found in joined.matches)]
    rows = [joined.rows[i] for i in used]
    if not rows:
        return {name: rank_correlations([], [], 0) for name, _ in _numbers(joined, used)}
    x = values(rows, table, joined.metric, joined.attack)
    moved = None
    if joined.carried:
        moved = resampled_values(rows, table, joined.metric, joined.attack)
    # the models' draws are not those of the sample ids
    seed = table.rules.protocol.seed + 1
    return {name: rank_correlations(x, y, seed, moved) for name, y in _numbers(joined, used)}


def _numbers(joined: Joined, models: Sequence[int]) -> list[tuple[str, Floats]]:
    """Return every joined column of numbers with its value for each of some models."""
    result = []
    for table, found in zip(joined.external, joined.matches, strict=True):
        places = [found[i].place for i in models]
        for name, column in table.numbers.items():
            y = [float("nan") if place is None else column[place] for place in places]
            result.append((f"{table.prefix}.{name}", np.array(y, dtype=np.float64)))
    return result
