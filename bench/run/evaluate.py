"""From a request to its rows: plan, run, read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.results.earlier import warn_of_changes
from bench.results.store import read_metadata, read_rows
from bench.results.written import current_rows
from bench.run.local import Progress, Silent, run
from bench.run.plan import Plan, plan
from bench.run.request import Request

if TYPE_CHECKING:
    import pandas as pd


def evaluate_request(
    request: Request, progress: Progress | None = None
) -> tuple[Plan, pd.DataFrame]:
    """Plan and run a request; return the plan and the rows that were asked for.

    Warns (`BenchWarning`) if an earlier result of the model was made with another model.
    """
    planned = plan(request)
    planned.store.check(planned.identity, request.overwrite)
    warn_of_changes(planned.metadata, request.output, planned.store.path)
    run(planned, progress or Silent())
    return planned, rows_of(planned)


def rows_of(planned: Plan) -> pd.DataFrame:
    """Return the rows of a finished plan: its attacks and its samples only."""
    path = planned.store.path
    table = current_rows(read_rows(path), read_metadata(path)).to_pandas()
    for name in ("protocol", "protocol_hash", "attack_hash", "model", "dataset", "attack"):
        table[name] = table[name].astype(str)
    wanted = table["attack"].isin(planned.attacks) & table["sample_id"].isin(planned.sample_ids)
    rows: pd.DataFrame = table[wanted].reset_index(drop=True)
    return rows
