"""RFC on common ids: under a budget each model keeps other ids, those with small margins."""

from __future__ import annotations

import numpy as np

from bench.board.table import Common, Table
from bench.results.read import read_samples
from bench.stats.intervals import common_means

MOST = 200
"""Models beyond which no ids are left that all of them keep."""


def common(table: Table) -> Common:
    """Return the mean RFC of every model that passes the gates, on the ids that all of them keep.

    Raises:
        BenchError: a submission can't be read any more.
    """
    rows = table.passing
    if not 2 <= len(rows) <= MOST:
        few = "fewer than two models pass the gates"
        return Common({}, {}, few if len(rows) < 2 else f"more than {MOST} models")
    samples = [read_samples(row.model.submission) for row in rows]
    ids, found = {}, {}
    for place, attack in enumerate(table.rules.attacks):
        values = np.stack([s.quantities["rfc"][place] for s in samples])
        kept = np.stack([s.kept[place] for s in samples])
        means, ids[attack] = common_means(values, kept, table.rules.protocol.seed)
        found[attack] = {row.name: mean for row, mean in zip(rows, means, strict=True)}
    return Common(ids, found)
