"""From a request to its rows: open, run, read."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from bench.errors import BenchWarning
from bench.models.memory import InMemory
from bench.results.accuracy import Accuracy
from bench.results.earlier import warn_of_changes
from bench.results.written import current_rows
from bench.run.local import run as run_local
from bench.run.machine import threads
from bench.run.plan import Plan
from bench.run.progress import Progress, Silent
from bench.run.request import Request
from bench.run.run import Run, open_run
from bench.run.shard import shard_of

if TYPE_CHECKING:
    import pandas as pd

TEXTS = ("protocol", "protocol_hash", "attack_hash", "model", "dataset", "attack")


@dataclass(frozen=True)
class CleanResult:
    """What came of a clean run.

    Attributes:
        rows: columns sample_id, label, pred, label_rank (0: the label has the largest logit).
        accuracy: top-1 and top-5, beside what the entry states of the whole split.
    """

    rows: pd.DataFrame
    accuracy: Accuracy


def take_part(
    request: Request,
    progress: Progress | None = None,
    opened: Callable[[Plan], None] = lambda plan: None,
    begin_at: float = 0.0,
    stay: bool = True,
    memory: InMemory | None = None,
) -> tuple[Run, bool]:
    """Open a request and measure of it what nobody else does; return the run, and if it is done.

    Warns (`BenchWarning`) if an earlier result of the model was made with another model.

    Args:
        request: what was asked for.
        progress: who is told how far it is.
        opened: is told of the plan before anything is measured.
        begin_at: share of the units after which this process begins.
        stay: end only when all is done, whoever does it.
        memory: the model, if it is in memory.
    """
    count = request.how.threads or max(1, torch.get_num_threads() // request.how.workers)
    with threads(count):
        run = open_run(request, memory, (progress or Silent()).note)
        opened(run.plan)
        warn_of_changes(run.metadata, run.store, request.where.submissions)
        done = run_local(run, progress or Silent(), begin_at=begin_at, stay=stay)
    return run, done


def evaluate_clean(request: Request, progress: Progress | None = None) -> CleanResult:
    """Predict the whole test split (or its first `limit` images).

    Warns (`BenchWarning`) if the accuracy of the whole split is not the one that the entry states.

    Raises:
        BenchError: the request can't be met, or the logits are unusable.
    """
    begin_at = shard_of(request.how.shard).start
    run, _ = take_part(request.but(attacks=("clean",)), progress, begin_at=begin_at)
    return clean_result(run.plan)


def clean_result(run: Plan) -> CleanResult:
    """Return what came of a finished clean run, with the warning of `evaluate_clean`."""
    rows = rows_of(run)
    found = run.accuracy(rows["label_rank"])
    if found.agrees is False:
        warnings.warn(f"{run.entry.name}: {found}", BenchWarning, stacklevel=2)
    return CleanResult(rows, found)


def rows_of(run: Plan, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the rows of a finished run: its attacks and its samples only."""
    by_attack = run.store.form.by_attack
    names = None
    if columns is not None:
        names = list(dict.fromkeys([*(("attack",) if by_attack else ()), "sample_id", *columns]))
    found = run.store.read(names)
    if run.store.form.grows and names is None:
        found = current_rows(found, run.store.metadata() or {})
    table = found.to_pandas()
    for name in TEXTS:
        if name in table:
            table[name] = table[name].astype(str)
    wanted = table["sample_id"].isin(run.sample_ids)
    if by_attack:
        wanted &= table["attack"].isin(run.attacks)
    rows: pd.DataFrame = table[wanted].reset_index(drop=True)
    return rows
