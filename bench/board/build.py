"""From a folder of submissions to tables: streaming, a few files at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from bench.board.common import common
from bench.board.contrasts import contrasts
from bench.board.excess import with_excess
from bench.board.numbers import ModelSummary
from bench.board.ranking import rank
from bench.board.summary import summarise
from bench.board.table import Board
from bench.errors import BenchError
from bench.results.read import Samples, Submission, Unusable, find, read
from bench.stats.bootstrap import workers

FILES_AT_ONCE = 16
"""Files whose samples are in memory together, for each worker."""


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
    groups: dict[tuple[object, ...], list[ModelSummary]] = {}
    unusable: list[Unusable] = []
    for result in _summaries(find(folder)):
        if isinstance(result, Unusable):
            unusable.append(result)
        else:
            groups.setdefault(result.submission.key, []).append(result)
    tables = []
    for key in sorted(groups):
        first = groups[key][0].submission
        tables.append(rank(groups[key], first.rules, first.input_shape[1:]))
    tables = [
        replace(t, contrasts=contrasts(t) if t.ranks else (), common=common(t))
        for t in with_excess(tables)
    ]
    # of each data set, what ranks comes first
    tables.sort(key=lambda t: (t.rules.dataset.name, not t.ranks))
    return Board(tuple(tables), tuple(sorted(unusable, key=lambda u: u.path)))


def _summaries(paths: Sequence[Path]) -> Iterator[ModelSummary | Unusable]:
    chunks = [paths[i : i + FILES_AT_ONCE] for i in range(0, len(paths), FILES_AT_ONCE)]
    with ThreadPoolExecutor(workers()) as pool:
        for part in pool.map(_chunk, chunks):
            yield from part


def _chunk(paths: Sequence[Path]) -> list[ModelSummary | Unusable]:
    result: list[ModelSummary | Unusable] = []
    opened: dict[tuple[object, ...], list[tuple[Submission, Samples]]] = {}
    for path in paths:
        try:
            submission, samples = read(path)
            opened.setdefault(submission.key, []).append((submission, samples))
        except BenchError as error:
            result.append(Unusable(path, str(error)))
    for members in opened.values():
        submissions, samples_of = zip(*members, strict=True)
        result += summarise(submissions, samples_of, submissions[0].rules)
    return result
