"""From a folder of submissions to tables: streaming, a few files at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.board.summary import ModelSummary, summarise
from bench.entries.rules import Rules
from bench.errors import BenchError
from bench.results.read import Submission, Unusable, find, read
from bench.results.samples import Samples
from bench.stats.bootstrap import resample_counts
from bench.stats.ranks import rank_intervals, separable, tie_groups, workers

MAX_REASON = 500
"""Characters of the reason why a file can't be shown."""
FILES_AT_ONCE = 16
"""Files whose samples are in memory together, for each worker."""


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
