"""A unit of a probe: measured, as a table, and all units as a data frame."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bench.results.campaign import Unit
from bench.results.probes import SAME, joined, probe_table
from bench.results.tables import Tables
from bench.run.probe import probe_of

if TYPE_CHECKING:
    import pandas as pd

    from bench.run.plan import Plan
    from bench.run.run import Run


def measure_probe(run: Run, unit: Unit, through: Callable[[int], None]) -> Tables:
    """Return the rows of one part on some samples.

    Args:
        run: of a probe.
        unit: part and samples.
        through: told how many more samples are through.
    """
    probe = probe_of(run.opened)
    begin = time.perf_counter()
    found = dict(probe.measure(run.job, unit.attack, unit.ids, bool(run.metadata["control"])))
    each = (time.perf_counter() - begin) / len(unit.ids)
    same = {
        "probe": probe.name,
        "model": str(run.metadata["model"]),
        "dataset": run.dataset.name,
        "attack": unit.attack,
    }
    found |= {"sample_id": list(unit.ids), "seconds": [each] * len(unit.ids)}
    through(len(unit.ids))
    return {"rows": probe_table(found, same, run.store.form.schema)}


def probe_rows(runs: Sequence[Plan]) -> pd.DataFrame:
    """Return the rows of finished runs of one probe, of the samples that were asked for."""
    frame: pd.DataFrame = joined([run.store.read() for run in runs]).to_pandas()
    for name in SAME:
        frame[name] = frame[name].astype(str)
    return frame[frame["sample_id"].isin(runs[0].sample_ids)].reset_index(drop=True)
