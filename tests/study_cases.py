"""Made-up blocks of studies with known differences, for the claims' report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from bench.entries.study import Cell, Study
from bench.results import study_blocks
from bench.results.study_blocks import StudyBlock, block_file

RfcOf = Callable[[Cell, int], float]
"""Cell and epoch -> its true mean RFC."""


def write_cells(
    folder: Path,
    study: Study,
    rfc_of: RfcOf,
    cells: Iterable[Cell] | None = None,
    *,
    seed_sd: float = 0.002,
    diverged: Callable[[Cell], bool] = lambda cell: False,
) -> None:
    """Write a block for every cell, as `bench study run` would."""
    wanted = None if cells is None else {cell.name for cell in cells}
    for block in study.blocks():
        chosen = [c for c in block.cells if wanted is None or c.name in wanted]
        if chosen:
            write_block(folder, study, block.name, chosen, rfc_of, seed_sd, diverged)


def write_block(
    folder: Path,
    study: Study,
    name: str,
    cells: list[Cell],
    rfc_of: RfcOf,
    seed_sd: float,
    diverged: Callable[[Cell], bool],
) -> None:
    parts, facts = [], {}
    for cell in cells:
        gone = diverged(cell)
        epochs = [e for e in cell.checkpoints if not gone or e < 2]
        parts += [part(cell, e, rfc_of(cell, e), seed_sd) for e in epochs]
        facts[cell.name] = cell_facts(cell, epochs, gone)
    metadata: dict[str, Any] = {
        "study": study.name, "study_hash": study.hash, "block": name, "limit": None,
        "block_identity": "0", "cells": facts, "versions": {}, "threads": 1,
    }  # fmt: skip
    path = block_file(folder, study.name, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        study_blocks.write(stream, study_blocks.joined([parts], metadata))


def part(cell: Cell, epoch: int, rfc: float, seed_sd: float) -> StudyBlock:
    """Rows of one checkpoint: images share their effects, seeds have theirs."""
    count = cell.samples_at(epoch)
    images = np.random.default_rng(1).normal(0, 0.02, count)
    of_seed = np.random.default_rng([cell.seed, sum(cell.factors.name.encode())])
    noise = np.random.default_rng([2, cell.seed, epoch]).normal(0, 0.005, count)
    values = rfc + images + noise + of_seed.normal(0, seed_sd)
    columns: dict[str, Any] = {
        "cell": np.full(count, cell.name, dtype=object),
        "attack": np.full(count, cell.attack, dtype=object),
        "epoch": np.full(count, epoch, dtype=np.int16),
        "sample_id": np.arange(count, dtype=np.int32),
        "clean_correct": np.arange(count) % 10 != cell.seed % 3,
        "status": np.full(count, "ok", dtype=object),
        "l2": np.full(count, 0.5) + images,
        "rfc": values, "hfe": values, "f50": values, "windowed_rfc": values,
        "grad_rfc": values + 0.05, "dc_share": np.full(count, 0.1),
        "margin": np.full(count, 3.0),
    }  # fmt: skip
    if not cell.factors.relu:
        columns["free_rfc"] = values - 0.01
    return StudyBlock(study_blocks.table(columns), {"cells": {cell.name: {}}})


def cell_facts(cell: Cell, epochs: list[int], gone: bool) -> dict[str, Any]:
    fast = cell.factors.learning_rate
    points = [
        {"epoch": e, "loss": 2.3 / (1 + 100 * fast * e), "accuracy": 50.0, "test_loss": 1.0,
         "test_accuracy": 90 - 80 / (1 + 100 * fast * e), "sha256": "0"}
        for e in epochs
    ]  # fmt: skip
    return {
        "cell": cell.model_dump(mode="json"),
        "identity": cell.identity,
        "affine": not cell.factors.relu,
        "diverged": {"epoch": 2, "text": "the loss is not finite"} if gone else None,
        "points": points,
    }
