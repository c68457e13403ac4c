"""The Python calls of the verbs."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.engines.local import Progress, Silent, run
from bench.planning import Plan, plan
from bench.request import Request
from bench.results.earlier import warn_of_changes
from bench.results.store import read_rows

if TYPE_CHECKING:
    import pandas as pd


def evaluate(
    model: str,
    dataset: str | None = None,
    *,
    weights: str | Path = "default",
    trust: bool = False,
    attacks: Sequence[str] = (),
    protocol: str = "caro2024",
    data: str | None = None,
    data_dir: str | Path | None = None,
    limit: int | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    seed: int | None = None,
    output: str | Path | None = "results",
    overwrite: bool = False,
    save_perturbations: bool = False,
    offline: bool = False,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Evaluate one model and return its rows.

    Args:
        model: entry name, timm `arch.tag`, or the path of an entry's TOML file.
        dataset: must be the entry's, if given.
        weights: "default" (the entry's), "random" (an untrained control), or a file.
        trust: allow entries with a `factory`, which runs their code.
        attacks: names from the protocol; all by default.
        protocol: name of the protocol.
        data: "hub", "embedded" or "samples"; see README for the default.
        data_dir: a local copy of the data set.
        limit: only the first so many samples; the result is partial and never ranked.
        batch_size: samples attacked together; None: chosen from the input's size.
        device: "auto", "cpu", "cuda" or "cuda:<i>".
        seed: another than the protocol's makes the result partial.
        output: folder of the results; None: keep nothing on disk.
        overwrite: run again what is already there.
        save_perturbations: also write every perturbation, float32.
        offline: never ask the network.
        progress: who is told how far the run is.

    Returns:
        One row per (attack, sample_id), the columns of the result file (README, "Columns").

    Raises:
        BenchError: the request can't be met; the text says what to do.
    """
    request = Request(
        model=model,
        dataset=dataset,
        weights=weights,
        trust=trust,
        attacks=tuple(attacks),
        protocol=protocol,
        data=data,
        data_dir=None if data_dir is None else Path(data_dir),
        limit=limit,
        batch_size=batch_size,
        device=device,
        seed=seed,
        output=Path("results" if output is None else output),
        overwrite=overwrite,
        save_perturbations=save_perturbations,
        offline=offline,
    )
    if output is not None:
        return evaluate_request(request, progress)[1]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        return evaluate_request(replace(request, output=Path(folder)), progress)[1]


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
    table = read_rows(planned.store.path).to_pandas()
    for name in ("protocol", "protocol_hash", "model", "dataset", "attack"):
        table[name] = table[name].astype(str)
    wanted = table["attack"].isin(planned.attacks) & table["sample_id"].isin(planned.sample_ids)
    rows: pd.DataFrame = table[wanted].reset_index(drop=True)
    return rows
