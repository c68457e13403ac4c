"""From a folder of submissions to tables: streaming, a few files at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from bench.board.load import WORKERS, Submission, Unusable, find, read_samples
from bench.board.ranking import rank_intervals, separable, tie_groups
from bench.board.rules import Rules
from bench.board.summary import ModelSummary, summarise
from bench.errors import BenchError
from bench.resampling import resample_counts

FILES_AT_ONCE = 16
"""Files whose samples are in memory together, for each of WORKERS."""


@dataclass(frozen=True)
class Row:
    """A model in its table.

    Attributes:
        model: its numbers.
        rank: lowest and highest rank, None if it is not ranked.
        group: letter of its tie group, "" if it is not ranked.
    """

    model: ModelSummary
    rank: tuple[int, int] | None = None
    group: str = ""


@dataclass(frozen=True)
class Table:
    """Results that may be compared: one data set, protocol hash and input size.

    Attributes:
        rules: what they were measured under.
        size: (H, W) of the models' input.
        ranked: best first.
        unranked: by name, each with its reasons.
    """

    rules: Rules
    size: tuple[int, int]
    ranked: tuple[Row, ...]
    unranked: tuple[Row, ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        """Ranked, then unranked."""
        return self.ranked + self.unranked


@dataclass(frozen=True)
class Board:
    """Everything that the board shows."""

    tables: tuple[Table, ...]
    unusable: tuple[Unusable, ...]


def build(folder: Path) -> Board:
    """Read all submissions and rank them.

    Args:
        folder: holds `<protocol>/<dataset>/<model>.parquet`.

    Raises:
        BenchError: the folder is not there.
    """
    if not folder.is_dir():
        raise BenchError(
            f"expected a folder of submissions at {folder}, found none; name it with --submissions"
        )
    found, unusable = find(folder)
    tables = []
    for _, members in groupby(sorted(found, key=lambda s: (s.key, s.name)), key=lambda s: s.key):
        group = list(members)
        models: list[ModelSummary] = []
        for result in _summaries(group):
            if isinstance(result, Unusable):
                unusable.append(result)
            else:
                models.append(result)
        if models:
            tables.append(rank(models, group[0].rules, group[0].input_shape[1:]))
    return Board(tuple(tables), tuple(sorted(unusable, key=lambda u: u.path)))


def _summaries(group: Sequence[Submission]) -> Iterator[ModelSummary | Unusable]:
    chunks = [group[i : i + FILES_AT_ONCE] for i in range(0, len(group), FILES_AT_ONCE)]
    with ThreadPoolExecutor(WORKERS) as pool:
        for part in pool.map(_chunk, chunks):
            yield from part


def _chunk(submissions: Sequence[Submission]) -> list[ModelSummary | Unusable]:
    bad: list[ModelSummary | Unusable] = []
    good, samples = [], []
    for submission in submissions:
        try:
            samples.append(read_samples(submission))
            good.append(submission)
        except BenchError as error:
            bad.append(Unusable(submission.path, str(error)))
    if not good:
        return bad
    return [*summarise(good, samples, good[0].rules), *bad]


def rank(models: Iterable[ModelSummary], rules: Rules, size: tuple[int, int]) -> Table:
    """Rank models by the RFC of the primary attack, lowest first.

    Args:
        models: of one table.
        rules: what they were measured under.
        size: (H, W) of their input.
    """
    everyone = list(models)
    able = sorted(
        (m for m in everyone if m.ranked), key=lambda m: (m.attacks[rules.primary].rfc.mean, m.name)
    )
    unranked = sorted((m for m in everyone if not m.ranked), key=lambda m: m.name)
    ranked: list[Row] = []
    if able:
        signs = separable(
            np.stack([m.primary for m in able]),
            np.stack([m.primary_kept for m in able]),
            resample_counts(len(rules.ids), rules.protocol.seed),
        )
        groups = tie_groups(range(len(able)), signs)
        for model, (low, high), letter in zip(able, rank_intervals(signs), groups, strict=True):
            ranked.append(Row(model, (int(low), int(high)), letter))
    return Table(rules, size, tuple(ranked), tuple(Row(m) for m in unranked))
