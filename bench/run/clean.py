"""The pseudo-attack `clean`: predictions over the whole test split, for top-1 and top-5.

It belongs to no protocol. Its result is `<model>.clean.parquet`; units, claims and merging are
those of the attacks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from bench.data.base import positions_of
from bench.measure.job import Job
from bench.measure.memory import in_parts
from bench.results.accuracy import Accuracy, Stated, accuracy_of, stated_accuracy
from bench.results.block import CleanRows
from bench.results.merge import Merged
from bench.run.run import Run


def accuracy(run: Run, label_rank: Any) -> Accuracy:
    """Return the accuracy of a clean run, beside what the entry states of these weights.

    Args:
        run: of the pseudo-attack `clean`.
        label_rank: (N,) number of logits above the label's.
    """
    return accuracy_of(np.asarray(label_rank), _stated(run))


def _stated(run: Run) -> Stated | None:
    """Return what the entry states of this run: of the whole split, and of these weights."""
    weights = run.loaded.weights
    if run.partial_reasons:
        return None
    return stated_accuracy(run.opened.entry, weights.kind, weights.file_sha256)


def clean_metadata(run: Run, merged: Merged) -> dict[str, Any]:
    """Return what the file says of its predictions."""
    return {"accuracy": accuracy(run, merged.column("clean", "label_rank")).metadata()}


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
