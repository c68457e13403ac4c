"""The pseudo-attack `clean`: predictions over the whole test split, for top-1 and top-5.

It belongs to no protocol. The result is `<model>.clean.parquet`; like the attacks it is written
block by block and goes on where it was interrupted.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from bench.data.base import positions_of
from bench.errors import BenchWarning
from bench.measure.block import block_samples
from bench.measure.job import Job
from bench.measure.memory import in_parts
from bench.results.accuracy import Accuracy, Stated, accuracy_of, stated_accuracy
from bench.results.clean import CleanStore
from bench.results.earlier import warn_of_changes
from bench.results.provenance import now
from bench.run.local import Progress, Silent
from bench.run.plan import Plan, plan
from bench.run.request import Request

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class CleanRows:
    """Clean predictions of some samples; each array is (B,) int64."""

    sample_id: npt.NDArray[np.int64]
    label: npt.NDArray[np.int64]
    pred: npt.NDArray[np.int64]
    label_rank: npt.NDArray[np.int64]


@dataclass(frozen=True)
class CleanResult:
    """What came of a clean run.

    Attributes:
        rows: columns sample_id, label, pred, label_rank (0: the label has the largest logit).
        accuracy: top-1 and top-5, beside what the entry states of the whole split.
    """

    rows: pd.DataFrame
    accuracy: Accuracy


def evaluate_clean(request: Request, progress: Progress | None = None) -> CleanResult:
    """Predict the whole test split (or its first `limit` images).

    Warns (`BenchWarning`) if the accuracy of the whole split is not the one that the entry states.

    Raises:
        BenchError: the request can't be met, or the logits are unusable.
    """
    progress = progress or Silent()
    planned = plan(request, whole_split=True)
    store = CleanStore(planned.store.path)
    store.check(planned.identity, request.overwrite)
    warn_of_changes(planned.metadata, request.output, planned.store.path)
    if request.overwrite:
        store.clear()
    done = store.present()
    size = block_samples(planned.job.batch_size)
    ids = planned.sample_ids
    blocks = [ids[i : i + size] for i in range(0, len(ids), size)]
    todo = [b for b in (tuple(i for i in block if i not in done) for block in blocks) if b]
    if todo or store.unmerged():
        store.begin({**planned.identity, "started": planned.metadata["started"]})
        progress.begin("clean", len(ids), len(ids) - sum(len(b) for b in todo))
        for block in todo:
            store.write_block(vars(clean_rows(planned.job, block)))
            progress.advance("clean", len(block))
        _finish(planned, store)
    table = store.read().to_pandas()
    rows: pd.DataFrame = table[table["sample_id"].isin(ids)].reset_index(drop=True)
    accuracy = accuracy_of(rows["label_rank"].to_numpy(), _stated(planned))
    if accuracy.agrees is False:
        warnings.warn(f"{planned.entry.name}: {accuracy}", BenchWarning, stacklevel=2)
    return CleanResult(rows, accuracy)


def _finish(planned: Plan, store: CleanStore) -> None:
    table = store.merged()
    accuracy = accuracy_of(table["label_rank"].to_numpy(), _stated(planned))
    times = {"started": store.started(), "ended": now()}
    store.finish(table, {**_metadata(planned), "accuracy": accuracy.metadata(), **times})


def _stated(planned: Plan) -> Stated | None:
    """Return what the entry states of this run: of the whole split, and of these weights."""
    weights = planned.loaded.weights
    if planned.partial_reasons:
        return None
    return stated_accuracy(planned.entry, weights.kind, weights.file_sha256)


def clean_rows(job: Job, sample_ids: Sequence[int]) -> CleanRows:
    """Predict samples, in batches that fit.

    Args:
        job: model and data.
        sample_ids: (B,) ids.
    """

    def some(indices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        chosen = [sample_ids[int(i)] for i in indices]
        logits, labels = job.logits(job.load(chosen)), job.labels(chosen)
        own = logits.gather(1, labels[:, None])
        return logits.argmax(1).cpu(), (logits > own).sum(1).cpu()

    parts = in_parts(some, torch.arange(len(sample_ids)), job.batch_size)
    return CleanRows(
        sample_id=np.asarray(sample_ids, dtype=np.int64),
        label=job.images.labels[positions_of(job.images, sample_ids)],
        pred=torch.cat([p for p, _ in parts]).numpy(),
        label_rank=torch.cat([r for _, r in parts]).numpy(),
    )


def _metadata(planned: Plan) -> dict[str, Any]:
    dropped = ("protocol_text", "attacks", "expected")
    kept = {k: v for k, v in planned.metadata.items() if k not in dropped}
    return {**kept, "kind": "clean", "samples": len(planned.sample_ids)}
