"""The column of the board that public numbers are held against, and its uncertainty."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import numpy as np

from bench.board.csv_file import HEADER, line
from bench.board.table import Row, Table
from bench.errors import BenchError, unknown_name
from bench.grid import white_noise
from bench.results.read import read_samples
from bench.results.samples import Samples
from bench.stats.bootstrap import Bools, Floats, Halved, resample_counts, resampled_means
from bench.stats.intervals import excess

SPECTRAL = ("rfc", "hfe", "image_rfc", "hfx")
"""Columns that are means over the kept samples."""
KNOWN = (
    *SPECTRAL,
    "success",
    "clean_accuracy",
    "median_norm",
    "n_params",
    "n_kept",
    "zero_grad_rate",
    "stronger_pgd_rate",
)
"""Columns of leaderboard.csv that --metric may name."""
CARRIED = (*SPECTRAL, "success", "clean_accuracy")
"""Those whose uncertainty over samples can be carried."""


def check_column(table: Table, metric: str, attack: str | None) -> str:
    """Return the attack's name (the protocol's primary one for None).

    Raises:
        BenchError: there is no such column or attack.
    """
    if metric not in KNOWN:
        near = difflib.get_close_matches(metric, KNOWN, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(KNOWN)}"
        raise BenchError(f"unknown column {metric!r} of the board: {hint}")
    if attack is not None and attack not in table.rules.attacks:
        raise unknown_name("attack", attack, table.rules.attacks)
    return attack or table.rules.primary


def cells(row: Row, table: Table, attack: str) -> dict[str, str]:
    """Return a model's line of leaderboard.csv under one attack, column -> text."""
    return dict(zip(HEADER, line(row, table, attack), strict=True))


def values(rows: Sequence[Row], table: Table, metric: str, attack: str) -> Floats:
    """Return the figure of each model (M,), NaN where it has none."""
    found = [cells(row, table, attack)[metric] for row in rows]
    return np.array([float(text) if text else np.nan for text in found])


def resampled_values(rows: Sequence[Row], table: Table, metric: str, attack: str) -> Floats | None:
    """Return the figure of each model in each resample of the protocol's ids, (M, B).

    The resamples are the board's, the same for every model.

    Returns:
        None if the figure's uncertainty over samples is not known.

    Raises:
        BenchError: a submission can't be read any more.
    """
    if metric not in CARRIED:
        return None
    rules = table.rules
    counts = resample_counts(len(rules.ids), rules.protocol.seed).astype(np.float32)
    place = list(rules.attacks).index(rules.primary if metric == "clean_accuracy" else attack)
    white = white_noise(*table.size)["rfc"]
    found = [_one(read_samples(row.model.submission), place, metric, white, counts) for row in rows]
    return np.stack(found)


def _one(samples: Samples, attack: int, metric: str, white: float, counts: Halved) -> Floats:
    def mean(values: Floats, kept: Bools) -> Floats:
        return resampled_means(values, kept, counts)[1].astype(np.float64)

    kept, correct = samples.kept[attack], samples.clean_correct[attack]
    if metric == "clean_accuracy":
        return mean(correct.astype(np.float64), samples.present[attack])
    if metric == "success":
        return mean(samples.fooled[attack].astype(np.float64), correct)
    if metric == "hfx":
        delta, image = (mean(samples.quantities[q][attack], kept) for q in ("rfc", "image_rfc"))
        return np.asarray(excess(delta, image, white), dtype=np.float64)
    return mean(samples.quantities[metric][attack], kept)
