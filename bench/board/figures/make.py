"""All figures of one table: which there are, and drawing those whose data have changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bench.board.build import Table
from bench.board.figures import curves, maps, profiles, scatter, strip
from bench.board.figures.rows import chosen
from bench.board.spectra import Extras, Profile, clean_profile, extras
from bench.board.spectra import profiles as read_profiles
from bench.figures.style import is_current, styled, svg
from bench.results.read import Samples, Submission, file_sha256, read_samples
from bench.stats.ranks import workers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CAPTIONS = {
    "profiles": profiles.CAPTION,
    "spectra": maps.CAPTION,
    "scatter": scatter.CAPTION,
    "curves": curves.CAPTION,
    "examples": strip.CAPTION,
}
"""Kind of figure -> caption, in the order of the page."""


@dataclass(frozen=True)
class Shown:
    """The spectra of one table's models, read once for figures and page.

    Attributes:
        profiles: model -> attack -> profile.
        extras: model -> side file.
        clean: profile of the clean images.
        broken: model -> why its spectra can't be shown.
    """

    profiles: Mapping[str, Mapping[str, Profile]]
    extras: Mapping[str, Extras]
    clean: Profile | None
    broken: Mapping[str, str] = field(default_factory=dict)


def read(table: Table, models: int) -> Shown:
    """Read the spectra of a table's first models.

    Args:
        table: whose models.
        models: at most so many, ranked ones first.
    """
    rows = [r for r in table.rows if r.model.attacks[table.rules.primary].kept > 0][:models]
    attacks = list(table.rules.attacks)
    names, submissions = [r.model.name for r in rows], [r.model.submission for r in rows]
    broken: dict[str, str] = {}

    def spectra_of(submission: Submission) -> tuple[Extras, Mapping[str, Profile]]:
        try:
            return extras(submission), read_profiles(submission, attacks)
        except Exception as error:  # whatever a stranger's file leads to, it is that file's
            text = (str(error).splitlines() or [""])[0][:200]
            text = text.encode("utf-8", "backslashreplace").decode()
            broken[submission.name] = f"spectra not shown ({type(error).__name__}: {text})"
            return Extras({}, {}), {}

    with ThreadPoolExecutor(workers()) as pool:
        found = dict(zip(names, pool.map(spectra_of, submissions), strict=True))
    side = {name: pair[0] for name, pair in found.items()}
    lines = {name: pair[1] for name, pair in found.items()}
    return Shown(lines, side, clean_profile(table, side), broken)


def figures(table: Table, shown: Shown, folder: Path, slug: str) -> dict[str, bytes]:
    """Return file name -> SVG of a table's figures; what is there and current is kept.

    Args:
        table: what to draw.
        shown: its spectra.
        folder: where figures of an earlier board may be.
        slug: first part of the file names.
    """
    digest = _digest(table)
    cache: dict[str, Samples] = {}

    def samples() -> Mapping[str, Samples]:
        rows = chosen(table.rows, table.rules.primary)
        if not cache:
            cache.update({r.model.name: read_samples(r.model.submission) for r in rows})
        return cache

    drawers: dict[str, Callable[[], Figure | None]] = {
        "profiles": lambda: profiles.draw(table, shown.profiles, shown.clean),
        "spectra": lambda: maps.draw(table, shown.extras),
        "scatter": lambda: scatter.draw(table),
        "curves": lambda: curves.draw(table, samples()),
        "examples": lambda: strip.draw(table, shown.extras),
    }
    result: dict[str, bytes] = {}
    if not chosen(table.rows, table.rules.primary):
        return result
    for kind in CAPTIONS:
        name = f"{slug}-{kind}.svg"
        old = folder / name
        if old.exists() and is_current(content := old.read_bytes(), digest):
            result[name] = content
            continue
        with styled():
            figure = drawers[kind]()
            if figure is not None:
                result[name] = svg(figure, digest)
    return result


def _digest(table: Table) -> str:
    """Hash everything that the figures show: files, ranks, and the code that draws."""
    state = hashlib.sha256(f"{table.rules.hash} {table.size}".encode())
    here = Path(__file__).parent
    for path in (*sorted(here.glob("*.py")), here.parent / "spectra.py"):
        state.update(path.read_bytes())
    for row in chosen(table.rows, table.rules.primary):
        path = row.model.submission.path
        state.update(f"{row.model.name} {row.rank} {row.group}".encode())
        for file in (path, path.with_name(f"{row.model.name}.extras.parquet")):
            state.update(file_sha256(file).encode() if file.exists() else b"-")
    return state.hexdigest()
