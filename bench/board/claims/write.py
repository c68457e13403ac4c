"""The pages and figures of all studies as files: writing them, or finding which are stale."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.board.claims import drawing, judge, page, planted, planted_page, sensitivity_page
from bench.board.claims.cells import Found, read
from bench.board.claims.judge import Judged
from bench.board.claims.page import series_name
from bench.board.claims.submitted import Board
from bench.board.claims.text import TITLE
from bench.entries import registry
from bench.errors import BenchError
from bench.figures import bias, dynamics, forest, series, style
from bench.figures.style import Drawing, is_current, svg
from bench.files import write_bytes
from bench.results.read import file_sha256

FIGURES = "figures/studies"
PAGES = ("claims.md", "sensitivity.md", "planted.md")
TITLES = (TITLE, sensitivity_page.TITLE, planted_page.TITLE)
CODE = (drawing, planted, judge, forest, dynamics, series, bias, style)
"""Modules whose text decides what a figure shows, with the data."""


@dataclass(frozen=True)
class Report:
    """Everything that is shown.

    Attributes:
        studies: what is measured of each study.
        judged: its claims.
        files: path below the board's folder -> content.
    """

    studies: tuple[Found, ...]
    judged: tuple[Judged, ...]
    files: dict[str, bytes]


def report(studies: Path, submissions: Path, output: Path, own: str | None = None) -> Report:
    """Make all pages from what is there; the same files give the same bytes.

    Args:
        own: TOML file of a study that is not in the registry, to be reported alone; None: all that
            are.
        studies: `<study>/<block>.parquet` are in it.
        submissions: of the board's models.
        output: where figures of an earlier report may be: those of the same data are kept.
    """
    names = registry.study_names() if own is None else [own]
    found = tuple(read(studies, registry.study(name)) for name in names)
    board = Board(submissions)
    judged = tuple(judge.judge(found, board))
    drawn, figures = _figures(found, judged, output)
    links = [("which conclusions survive other choices", "sensitivity.md")]
    planted_studies = [f for f in found if f.study.fixed.get("data") == "planted"]
    if planted_studies:
        links.append(("data with a known right answer", "planted.md"))
    files = dict(drawn)
    files["claims.md"] = page.page(judged, found, figures, links).encode()
    claims = judge.family_size(found)
    files["sensitivity.md"] = sensitivity_page.page(found, board, claims).encode()
    for one in planted_studies[:1]:
        text = planted_page.page(one, planted.points(one), figures.get(one.study.name))
        files["planted.md"] = text.encode()
    return Report(found, judged, files)


def _figures(
    found: Sequence[Found], judged: Sequence[Judged], output: Path
) -> tuple[dict[str, bytes], dict[str, str]]:
    """Return path -> SVG, and name of a claim or study -> path."""
    made: dict[str, Callable[[], Drawing | None]] = {}
    for each in judged:
        made[each.claim.name] = lambda each=each: drawing.forest(each)  # type: ignore[misc]
    for study in found:
        made[study.study.name] = lambda s=study: (  # type: ignore[misc]
            planted.drawing(planted.points(s))
            if s.study.fixed.get("data") == "planted"
            else drawing.dynamics(s)
        )
        for contrast in study.study.contrasts:
            if contrast.kind == "trend":
                made[series_name(study, contrast)] = lambda s=study, c=contrast: (  # type: ignore[misc]
                    drawing.series(s, c)
                )
    digest = _digest(found, judged)
    files: dict[str, bytes] = {}
    paths: dict[str, str] = {}
    for name, make in made.items():
        path = f"{FIGURES}/{name}.svg"
        old = output / path
        if old.exists() and is_current(content := old.read_bytes(), digest):
            files[path] = content
        elif (drawn := make()) is not None:
            files[path] = svg(drawn, digest)
        else:
            continue
        paths[name] = path
    return files, paths


def _digest(found: Sequence[Found], judged: Sequence[Judged]) -> str:
    """Hash everything that figures show: blocks, plans, estimates, and the code that draws."""
    state = hashlib.sha256()
    for path in (Path(__file__), *(Path(str(module.__file__)) for module in CODE)):
        state.update(path.read_bytes())
    for each in found:
        state.update(each.study.hash.encode())
        for file in each.files:
            state.update(f"{file.name} {file_sha256(file)}".encode())
    for one in judged:
        for e in (*one.estimates, *one.beside):
            state.update(repr((e.label, e.way, e.own, e.together)).encode())
    return state.hexdigest()


def existing(output: Path) -> dict[str, bytes]:
    """Return path -> content of the files of an earlier report.

    Raises:
        BenchError: a page of ours has a stranger's text in its place.
    """
    found: dict[str, bytes] = {}
    for name, title in zip(PAGES, TITLES, strict=True):
        path = output / name
        if path.exists():
            found[name] = path.read_bytes()
            if not found[name].startswith(title.encode()):
                raise BenchError(
                    f"expected a page of a study's report, found another text in {path}; choose "
                    "another --output"
                )
    for path in sorted((output / FIGURES).glob("*.svg")):
        found[path.relative_to(output).as_posix()] = path.read_bytes()
    return found


def stale(files: dict[str, bytes], output: Path) -> list[str]:
    """Return what differs on disk: "missing: x", "changed: y", "left over: z"."""
    old = existing(output)
    changes = [f"missing: {name}" for name in sorted(files.keys() - old.keys())]
    changes += [
        f"changed: {name}" for name in sorted(files.keys() & old.keys()) if files[name] != old[name]
    ]
    return changes + [f"left over: {name}" for name in sorted(old.keys() - files.keys())]


def write(files: dict[str, bytes], output: Path) -> list[str]:
    """Write what differs, remove what is left over; return what was done."""
    changes = stale(files, output)
    for change in changes:
        kind, _, name = change.partition(": ")
        if kind == "left over":
            (output / name).unlink()
        else:
            (output / name).parent.mkdir(parents=True, exist_ok=True)
            write_bytes(output / name, files[name])
    return changes
