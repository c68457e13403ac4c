"""The pseudo-attack `clean`: predictions over the whole test split, for top-1 and top-5.

It belongs to no protocol. Its result is `<model>.clean.parquet`; units, claims and merging are
those of the attacks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from bench.attacks.starts import NO_CLASS
from bench.data.base import positions_of
from bench.measure.job import Job, classes_of
from bench.measure.memory import in_parts
from bench.results.block import CleanRows


def clean_rows(job: Job, sample_ids: Sequence[int]) -> CleanRows:
    """Predict samples, in batches that fit.

    Args:
        job: model and data.
        sample_ids: (B,) ids.
    """

    def some(indices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        chosen = [sample_ids[int(i)] for i in indices]
        logits, labels = job.logits(job.load(chosen)), job.labels(chosen)
        own, pred = logits.gather(1, labels[:, None]), classes_of(logits)
        # without a class the label ranks behind all others
        rank = torch.where(pred == NO_CLASS, logits.shape[1], (logits > own).sum(1))
        return pred.cpu(), rank.cpu()

    parts = in_parts(some, torch.arange(len(sample_ids)), job.batch_size)
    return CleanRows(
        sample_id=np.asarray(sample_ids, dtype=np.int64),
        label=job.images.labels[positions_of(job.images, sample_ids)],
        pred=torch.cat([p for p, _ in parts]).numpy(),
        label_rank=torch.cat([r for _, r in parts]).numpy(),
    )
