"""One block from beginning to end: train its cells, measure them, put rows and facts together.

What is done lies in the block's folder of work: the state of the training after every epoch, the
nets of the checkpoints, the rows of each that is measured. A block that was interrupted goes on
from there and ends with the same bytes, but for times.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.entries.study import Block, Cell, Study
from bench.files import write_bytes
from bench.models.affine import has_affine_map
from bench.results import study_blocks
from bench.results.provenance import commit, now, versions
from bench.results.study_blocks import StudyBlock
from bench.studies.images import Data, load
from bench.studies.measure import (
    LOSS_SAMPLES,
    as_measured,
    attack_hash,
    loss_and_accuracy,
    measure,
)
from bench.studies.source import Source
from bench.studies.train import curve, job_of, kept_path, net_at, trained
from bench.training.job import Job
from bench.training.loop import Diverged

Told = Callable[[str, float], None]
"""Told what is done now, and which share of it all is done, in [0, 1]."""
DIGITS = 6
"""Decimals of losses, rates and accuracies in the metadata."""
TRAINING = 0.8
"""Share of a cell's time that training takes, about, for the progress."""


def finished(
    study: Study, block: Block, folder: Path, source: Source, device: str, told: Told
) -> StudyBlock:
    """Return a block, from whatever of it is done.

    Args:
        study: it belongs to.
        block: its cells.
        folder: of work, for this block alone.
        source: of images.
        device: "cpu" or "cuda".
        told: how far it is.

    Raises:
        BenchError: images are not at hand, or the folder can't be written.
    """
    import torch

    started = now()
    parts, cells = [], {}
    for place, cell in enumerate(block.cells):
        rows, facts = _cell(cell, folder, source, device, _within(block, place, told))
        parts.append(rows)
        cells[cell.name] = facts
    metadata = {
        "study": study.name,
        "study_hash": study.hash,
        "block": block.name,
        "block_identity": block.identity_of(source.limit),
        "limit": source.limit,
        "cells": cells,
        "device": device,
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "git": commit(),
        "started": started,
        "ended": now(),
    }
    return study_blocks.joined(parts, metadata)


def _within(block: Block, place: int, told: Told) -> Told:
    """Return what is told how far one cell of a block is, and tells how far the block is."""
    count = len(block.cells)
    which = f"cell {place + 1} of {count}, " if count > 1 else ""
    return lambda doing, share: told(which + doing, (place + share) / count)


def _cell(
    cell: Cell, folder: Path, source: Source, device: str, told: Told
) -> tuple[list[StudyBlock], dict[str, Any]]:
    """Return the measured parts of a cell, and what is known of it."""
    data = load(cell.factors, cell.seed, source)
    job = job_of(cell, data, folder, device)
    stopped = trained(
        job, cell.checkpoints, lambda done, of: told("training", TRAINING * done / of)
    )
    reached = [e for e in cell.checkpoints if kept_path(job, e).exists()]
    parts = []
    for place, epoch in enumerate(reached):
        share = TRAINING + (1 - TRAINING) * place / len(reached)
        told(f"measuring epoch {epoch}", share)
        parts.append(_point(cell, epoch, job, data))
    facts = _facts(cell, job, data, stopped)
    facts["points"] = [part.metadata["point"] for part in parts]
    facts["seconds"]["measure"] = round(sum(p.metadata["seconds"] for p in parts), 1)
    facts["n_params"] = parts[0].metadata["n_params"]
    return parts, facts


def _point(cell: Cell, epoch: int, job: Job, data: Data) -> StudyBlock:
    """Return the rows of one checkpoint, measured now or before."""
    path = job.beside(f".e{epoch}.rows")
    if path.exists():
        return study_blocks.read(path)
    begin = time.monotonic()
    net, sha256 = net_at(job, epoch)
    model = as_measured(cell, net, data.test)
    loss, accuracy = loss_and_accuracy(model, data.train, LOSS_SAMPLES, job.device)
    test_loss, test_accuracy = loss_and_accuracy(model, data.test, None, job.device)
    columns = measure(cell, epoch, model, data.test, job.device)
    point = {
        "epoch": epoch,
        "loss": round(loss, DIGITS),
        "accuracy": accuracy,
        "test_loss": round(test_loss, DIGITS),
        "test_accuracy": test_accuracy,
        "sha256": sha256,
    }
    metadata = {
        "cells": {cell.name: {}},
        "point": point,
        "seconds": time.monotonic() - begin,
        "n_params": sum(p.numel() for p in net.parameters()),
    }
    found = StudyBlock(study_blocks.table(columns), metadata)
    stream = io.BytesIO()
    study_blocks.write(stream, found)
    write_bytes(path, stream.getvalue())
    return found


def _facts(cell: Cell, job: Job, data: Data, stopped: Diverged | None) -> dict[str, Any]:
    log = curve(job)
    keys = ("learning_rate", "train_loss", "train_accuracy", "test_accuracy")
    return {
        "cell": cell.model_dump(mode="json"),
        "identity": cell.identity,
        "affine": not cell.factors.relu,
        "through_map": job.through_map and has_affine_map(net_at(job, 0)[0]),
        "inputs": None if job.inputs is None else job.inputs.describe(),
        "diverged": None if stopped is None else {"epoch": stopped.epoch, "text": str(stopped)},
        "curve": [
            {"epoch": row.epoch, **{key: round(getattr(row, key), DIGITS) for key in keys}}
            for row in log
        ],
        "loss_samples": int(np.minimum(LOSS_SAMPLES, len(data.train.labels))),
        "train": {"fingerprint": data.train.fingerprint, "count": len(data.train.labels)},
        "test": {"fingerprint": data.test.fingerprint, "count": len(data.test.labels)},
        "attacks": {cell.attack: attack_hash(cell)},
        "seconds": {"train": round(sum(row.seconds for row in log), 1)},
    }
