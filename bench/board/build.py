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
from bench.board.table import Board, Row, Table
from bench.errors import BenchError
from bench.results.read import Submission, Unusable, find, read
from bench.results.samples import Samples
from bench.stats.bootstrap import workers

MAX_REASON = 500
"""Characters of the reason why a file can't be shown."""
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
            result.append(_unusable(path, str(error)))
        except Exception as error:  # whatever a stranger's file leads to, it is that file's
            result.append(_unusable(path, error))
    for members in opened.values():
        result += _summarise(members)
    return result


def _summarise(members: Sequence[tuple[Submission, Samples]]) -> list[ModelSummary | Unusable]:
    """Summarise together; if that fails one by one, so that only the one at fault is left out."""
    submissions, samples = zip(*members, strict=True)
    try:
        found = summarise(submissions, samples, submissions[0].rules)
    except Exception as error:
        if len(members) == 1:
            return [_unusable(submissions[0].path, error)]
        return [one for member in members for one in _summarise([member])]
    return [_showable(model) for model in found]


def _showable(model: ModelSummary) -> ModelSummary | Unusable:
    """Return the model if its line can be made in every form, else why not."""
    from bench.board.trial import show_alone

    rules, submission = model.submission.rules, model.submission
    try:
        show_alone(Table(rules, submission.input_shape[1:], (), (Row(model),)))
    except Exception as error:
        return _unusable(submission.path, error)
    return model


def _unusable(path: Path, why: str | Exception) -> Unusable:
    """The reason as one short line that can be written, whatever is in it."""
    text = why if isinstance(why, str) else (str(why).splitlines() or [""])[0][:MAX_REASON]
    if isinstance(why, Exception):
        text = f"{path}: can't be shown ({type(why).__name__}: {text})"
    if len(text) > MAX_REASON:
        text = text[:MAX_REASON] + "..."
    return Unusable(path, text.encode("utf-8", "backslashreplace").decode())
