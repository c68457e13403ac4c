"""The log of a training run: a CSV file and a picture of the curves."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from bench.files import write_bytes


@dataclass(frozen=True)
class EpochRow:
    """One line of the log."""

    epoch: int
    """1 for the first."""
    learning_rate: float
    train_loss: float
    """Mean cross-entropy over the epoch's batches, each before its step."""
    train_accuracy: float
    """Percent, over the same batches."""
    test_accuracy: float
    """Percent of the whole test split, after the epoch."""
    seconds: float


def write_log(path: Path, rows: Sequence[EpochRow]) -> None:
    """Write the log as CSV, one line an epoch."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(EpochRow)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    write_bytes(path, text.getvalue().encode())


def write_curves(path: Path, rows: Sequence[EpochRow], title: str) -> None:
    """Write a PNG with the loss and both accuracies over the epochs."""
    from bench.figures.style import png
    from bench.figures.training import Training

    drawing = Training(
        title=title,
        epochs=[row.epoch for row in rows],
        loss=[row.train_loss for row in rows],
        train_accuracy=[row.train_accuracy for row in rows],
        test_accuracy=[row.test_accuracy for row in rows],
    )
    write_bytes(path, png(drawing, dpi=120))
