"""The pseudo-attack `clean`: predictions over the whole test split, for top-1 and top-5.

It belongs to no protocol. The result is `<model>.clean.parquet`; like the attacks it is written
block by block and goes on where it was interrupted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from bench.data.base import positions_of
from bench.engines.local import Progress, Silent
from bench.evaluation import block_samples
from bench.job import Job
from bench.memory import in_parts
from bench.planning import Plan, plan
from bench.request import Request
from bench.results.clean import CleanStore
from bench.results.provenance import now

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class CleanRows:
    """Clean predictions of some samples; each array is (B,) int64."""

    sample_id: npt.NDArray[np.int64]
    label: npt.NDArray[np.int64]
    pred: npt.NDArray[np.int64]
    label_rank: npt.NDArray[np.int64]


def evaluate_clean(request: Request, progress: Progress | None = None) -> pd.DataFrame:
    """Predict the whole test split (or its first `limit` images) and return the rows.

    Returns:
        Columns sample_id, label, pred, label_rank (0: the label has the largest logit).

    Raises:
        BenchError: the request can't be met, or the logits are unusable.
    """
    progress = progress or Silent()
    planned = plan(request, whole_split=True)
    store = CleanStore(planned.store.path)
    store.check(planned.identity, request.overwrite)
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
        store.finish({**_metadata(planned), "started": store.started(), "ended": now()})
    table = store.read().to_pandas()
    rows: pd.DataFrame = table[table["sample_id"].isin(ids)].reset_index(drop=True)
    return rows


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
