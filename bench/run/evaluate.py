"""From a request to its rows: open, run, read."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from bench.errors import BenchWarning
from bench.results.accuracy import Accuracy
from bench.results.earlier import warn_of_changes
from bench.results.written import current_rows
from bench.run.clean import accuracy
from bench.run.local import run as run_local
from bench.run.machine import threads
from bench.run.progress import Progress, Silent
from bench.run.request import Request
from bench.run.run import Run, open_run

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


def evaluate_request(
    request: Request,
    progress: Progress | None = None,
    columns: Sequence[str] | None = None,
    opened: Callable[[Run], None] = lambda run: None,
) -> tuple[Run, pd.DataFrame]:
    """Open and run a request; return the run and the rows that were asked for.

    Warns (`BenchWarning`) if an earlier result of the model was made with another model.

    Args:
        request: what was asked for.
        progress: who is told how far it is.
        columns: which columns are returned; None: all.
        opened: is told of the run before anything is measured.
    """
    count = request.how.threads or max(1, torch.get_num_threads() // request.how.workers)
    with threads(count):
        run = open_run(request, (progress or Silent()).note)
        opened(run)
        warn_of_changes(run.metadata, run.store, request.where.submissions)
        run_local(run, progress or Silent())
    return run, rows_of(run, columns)


def evaluate_clean(request: Request, progress: Progress | None = None) -> CleanResult:
    """Predict the whole test split (or its first `limit` images).

    Warns (`BenchWarning`) if the accuracy of the whole split is not the one that the entry states.

    Raises:
        BenchError: the request can't be met, or the logits are unusable.
    """
    run, rows = evaluate_request(request.but(attacks=("clean",)), progress)
    found = accuracy(run, rows["label_rank"])
    if found.agrees is False:
        warnings.warn(f"{run.opened.entry.name}: {found}", BenchWarning, stacklevel=2)
    return CleanResult(rows, found)


def rows_of(run: Run, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the rows of a finished run: its attacks and its samples only."""
    by_attack = run.store.form.by_attack
    names = None
    if columns is not None:
        names = list(dict.fromkeys([*(("attack",) if by_attack else ()), "sample_id", *columns]))
    found = run.store.read(names)
    if by_attack and names is None:
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
