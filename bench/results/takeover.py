"""Rows that another protocol's finished file has of the very same attack are copied, not measured.

An attack is taken whole: its spectra are means over all its samples and can't be taken apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.errors import BenchError
from bench.results import schema
from bench.results.campaign import Campaign, Unit
from bench.results.match import attack_identity, difference
from bench.results.store import BROKEN, Store
from bench.results.workplace import Task
from bench.results.written import current_rows


def candidates(store: Store) -> list[Store]:
    """Return the results of the same model and data set under other protocols."""
    files, address = store.files, store.address
    pattern = address.of("*").file
    own = [key for key in files.below(pattern) if key != address.file]
    at = 1 if address.partial else 0
    return [Store(files, address.of(key.split("/")[at]), store.form) for key in own]


def take_over(campaign: Campaign, task: Task) -> list[str]:
    """Copy what others have measured of attacks that this run has nothing of yet.

    Args:
        campaign: where blocks go. One that replaces rows takes nothing over.
        task: what is to be measured.

    Returns:
        The attacks that were taken over.
    """
    if campaign.replaces or not task.store.form.grows:
        return []
    keys = campaign.look()
    todo = [a for a in task.asked if not len(campaign.blocks(a, keys).ids)]
    taken: list[str] = []
    for other in candidates(task.store) if todo else ():
        try:
            found = other.metadata()
            if found is None or difference(found, task.metadata) is not None:
                continue
            for attack in todo:
                same = attack_identity(found, attack) == campaign.identities[attack]
                if attack not in taken and same and _take(campaign, task, other, found, attack):
                    taken.append(attack)
        except (BenchError, *BROKEN):
            continue  # somebody's broken file is none of this run's business
    return taken


def _take(
    campaign: Campaign, task: Task, other: Store, found: Mapping[str, Any], attack: str
) -> bool:
    ids = other.ids(attack)
    if not len(ids) or not np.isin(ids, np.asarray(task.asked[attack])).all():
        return False
    spectra = _extras(other, attack)
    if spectra is None:
        return False
    unit = Unit(attack, tuple(int(i) for i in ids), campaign.identities[attack])
    rows = current_rows(other.read(None, attack), found)
    campaign.write(unit, {"extras": spectra, "rows": rows})
    return True


def _extras(other: Store, attack: str) -> pa.Table | None:
    """Return an attack's side rows as a block has them: with the sum of p, not its mean."""
    with other.files.open(other.side("extras")) as stream:
        table = pq.read_table(stream, filters=pc.field("attack") == attack)
    rows: list[dict[str, Any]] = table.to_pylist()
    if not any(row["kind"] == "spectrum" for row in rows):
        return None
    for row in rows:
        if row["kind"] == "spectrum":
            mean = np.asarray(row["values"], dtype=np.float64)
            row["values"] = mean * row["n"] if row["n"] else np.zeros_like(mean)
    return pa.Table.from_pylist(rows, schema=schema.EXTRAS)
