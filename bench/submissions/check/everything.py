"""`bench check` as a whole: files, submissions, entries, copies, and what changed of a base."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.submissions.check.against import Base, changes, open_base, read_base, unsigned
from bench.submissions.check.check import group
from bench.submissions.check.copies import Sketch, copies, equal_entries
from bench.submissions.check.entries import entry_files
from bench.submissions.check.places import collect
from bench.submissions.check.problems import Problem
from bench.submissions.check.sandbox import Answer, ask_apart, entry_question, submission_question


@dataclass(frozen=True)
class Checked:
    """What was found.

    Attributes:
        problems: what is wrong.
        changes: what differs from the base, a line each.
        submissions, files, entries: how many were checked.
    """

    problems: list[Problem]
    changes: list[str]
    submissions: int
    files: int
    entries: int


def check_everything(paths: Sequence[Path], against: str | None = None) -> Checked:
    """Check submissions in files or folders, the registry's model entries, and both together.

    Args:
        paths: files or folders.
        against: base to compare with, see :func:`open_base`; None: none.

    Raises:
        BenchError: there is no such base.
    """
    if against is None:
        return _check(paths, None)
    with open_base(against) as folder:
        return _check(paths, read_base(folder))


def _check(paths: Sequence[Path], base: Base | None) -> Checked:
    places, problems = collect(paths)
    groups = group(places)
    entries = entry_files()
    questions = [submission_question(one) for one in groups] + [entry_question(e) for e in entries]
    answers = list(ask_apart(questions))
    problems += [problem for answer in answers for problem in answer.problems]
    sketches = _sketches(answers[: len(groups)])
    weights: dict[str, str] = {}
    for path, answer in zip(entries, answers[len(groups) :], strict=True):
        if answer.told is not None and answer.told["sha256"] is not None:
            weights[str(path)] = answer.told["sha256"]
    problems += equal_entries(weights)
    named: list[str] = []
    before: list[Sketch] = []
    if base is not None:
        whole = len(paths) == 1 and paths[0].is_dir()
        named = changes(places, base, whole)
        problems += unsigned(places, base)
        gone = {line.partition(": ")[2] for line in named if not line.startswith("added")}
        old = [p for k, p in base.places.items() if "submissions/" + "/".join(k[:3]) + k[3] in gone]
        before = _sketches(ask_apart([submission_question(one) for one in group(old)]))
    problems += copies(sketches, before)
    return Checked(problems, named, len(groups), len(places), len(entries))


def _sketches(answers: Iterable[Answer]) -> list[Sketch]:
    return [Sketch.from_json(answer.told) for answer in answers if answer.told is not None]
