"""The whole board as files: writing them, or finding which are stale."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from bench.board.beside import linked
from bench.board.claims_page import claims
from bench.board.csv_file import csv_text
from bench.board.drawn import CAPTIONS, figures
from bench.board.markdown import (
    BACK_LINK,
    INDEX_TITLE,
    further,
    index,
    page,
    slug,
)
from bench.board.page import page as html
from bench.board.probes import with_probes
from bench.board.shown import Shown, read
from bench.board.table import Board, Table
from bench.errors import BenchError
from bench.files import atomic
from bench.results.read import Unusable

SPECTRA_MODELS = 300
"""Models of a table whose spectra the page can plot; the best ranked ones."""
FIXED = ("README.md", "index.html", "leaderboard.csv")
"""Files that every board has."""
THEIRS = ("claims.md", "sensitivity.md", "planted.md", "figures/studies")
"""How files begin that `bench study report` keeps in the same folder."""


def render(board: Board, folder: Path, with_figures: bool = True) -> dict[str, bytes]:
    """Return path (relative to the board's folder) -> content of every file.

    Args:
        board: what to show.
        folder: where an earlier board may be; figures whose data are the same are kept.
        with_figures: also figures and the page's spectra.
    """
    files: dict[str, bytes] = {}
    shown: dict[str, Shown] = {}
    captions: dict[str, list[tuple[str, str]]] = {}
    for table in board.tables if with_figures else ():
        name = slug(table)
        shown[name] = read(table, SPECTRA_MODELS)
        made = figures(table, shown[name], folder / "figures", name)
        files |= {f"figures/{file}": content for file, content in made.items()}
        captions[name] = [
            (f"{name}-{kind}.svg", text)
            for kind, text in CAPTIONS.items()
            if f"{name}-{kind}.svg" in made
        ]
    board = replace(board, unusable=(*board.unusable, *_without_spectra(board, shown)))
    by_dataset: dict[str, list[Table]] = {}
    for table in board.tables:
        by_dataset.setdefault(table.rules.dataset.name, []).append(table)
    told = claims(folder)
    for name, tables in by_dataset.items():
        files[f"{name}.md"] = page(tables[0].rules.dataset.title, tables, captions, told).encode()
        for table in tables:
            files |= {n: text.encode() for n, text in further(table, captions).items()}
    files["README.md"] = index(board).encode()
    files["leaderboard.csv"] = csv_text(board).encode()
    files["index.html"] = html(board, shown, captions, told).encode()
    return linked(with_probes(files, board, folder, with_figures), folder)


def _without_spectra(board: Board, shown: Mapping[str, Shown]) -> Iterator[Unusable]:
    for table in board.tables:
        found = shown.get(slug(table))
        for row in table.rows:
            reason = None if found is None else found.broken.get(row.model.name)
            if reason is not None:
                yield Unusable(row.model.submission.path, reason)


def existing(folder: Path) -> dict[str, bytes]:
    """Return path -> content of the files of an earlier board; a stranger's files are not ours.

    Raises:
        BenchError: the folder has a README.md that is no board's.
    """
    readme = folder / "README.md"
    if readme.exists() and not readme.read_bytes().startswith(INDEX_TITLE.encode()):
        raise BenchError(
            f"expected a folder for the board, found another README.md in {folder}; "
            "choose another --output"
        )
    found = [*folder.glob("*.md"), *folder.glob("figures/*.svg")]
    found += [folder / "index.html", folder / "leaderboard.csv"]
    content = {p.relative_to(folder).as_posix(): p.read_bytes() for p in found if p.is_file()}
    return {name: text for name, text in content.items() if _is_ours(name, text)}


def _is_ours(name: str, content: bytes) -> bool:
    if name.startswith(THEIRS):
        return False
    if name.endswith(".svg"):
        return b"<!-- data " in content
    return name in FIXED or content.rstrip().endswith(BACK_LINK.encode())


def stale(files: dict[str, bytes], folder: Path) -> list[str]:
    """Return what differs on disk: "missing: x", "changed: y", "left over: z"."""
    old = existing(folder)
    found = [f"missing: {name}" for name in sorted(files.keys() - old.keys())]
    found += [
        f"changed: {name}" for name in sorted(files.keys() & old.keys()) if files[name] != old[name]
    ]
    return found + [f"left over: {name}" for name in sorted(old.keys() - files.keys())]


def write(files: dict[str, bytes], folder: Path) -> list[str]:
    """Write what differs, remove what is left over; return what was done."""
    changes = stale(files, folder)
    for change in changes:
        kind, _, name = change.partition(": ")
        if kind == "left over":
            (folder / name).unlink()
            continue
        with atomic(folder / name) as temporary:
            temporary.write_bytes(files[name])
    return changes
