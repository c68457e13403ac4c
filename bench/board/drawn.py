"""All figures of one table: what each shows, and drawing those whose data have changed."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench.board import shown as shown_module
from bench.board import spectra
from bench.board.shown import Shown, mark, with_spectrum
from bench.board.table import Table
from bench.board.text import ranks as places
from bench.figures import curves, examples, maps, profiles, ranks, scatter, style
from bench.figures import mark as mark_module
from bench.figures.style import Drawing, is_current, svg
from bench.grid import white_noise
from bench.results.read import file_sha256, read_samples
from bench.results.samples import Samples
from bench.stats.bootstrap import Floats
from bench.stats.intervals import Interval, robust_accuracy

CAPTIONS = {
    "ranks": ranks.CAPTION,
    "profiles": profiles.CAPTION,
    "spectra": maps.CAPTION,
    "scatter": scatter.CAPTION,
    "curves": curves.CAPTION,
    "examples": examples.CAPTION,
}
"""Kind of figure -> caption, in the order of the page."""
MAX_LINES = 60
"""Models in a figure of lines one below the other."""
MAX_POINTS = 400
"""Models in a figure of points."""
MAX_COLUMNS, SAMPLES = 12, 2
"""Models and samples among the example images."""
CODE = (
    *(style, mark_module, ranks, profiles, maps, scatter, curves, examples),
    *(spectra, shown_module),
)
"""Modules whose text decides, with this one's, what a figure shows."""


def figures(table: Table, shown: Shown, folder: Path, slug: str) -> dict[str, bytes]:
    """Return file name -> SVG of a table's figures; what is there and current is kept.

    Args:
        table: what to draw.
        shown: its spectra.
        folder: where figures of an earlier board may be.
        slug: first part of the file names.
    """
    made: dict[str, Callable[[], Drawing | None]] = {
        "ranks": lambda: _ranks(table),
        "profiles": lambda: _profiles(table, shown),
        "spectra": lambda: _maps(table, shown),
        "scatter": lambda: _scatter(table),
        "curves": lambda: _curves(table),
        "examples": lambda: _examples(table, shown),
    }
    result: dict[str, bytes] = {}
    if not with_spectrum(table):
        return result
    digest = _digest(table)
    for kind in CAPTIONS:
        name = f"{slug}-{kind}.svg"
        old = folder / name
        if old.exists() and is_current(content := old.read_bytes(), digest):
            result[name] = content
        elif (drawing := made[kind]()) is not None:
            result[name] = svg(drawing, digest)
    return result


def _digest(table: Table) -> str:
    """Hash everything that the figures show: files, ranks, and the code that draws."""
    state = hashlib.sha256(f"{table.rules.hash} {table.size}".encode())
    for path in (Path(__file__), *(Path(str(module.__file__)) for module in CODE)):
        state.update(path.read_bytes())
    for row in with_spectrum(table):
        path = row.model.submission.path
        state.update(f"{row.model.name} {row.rank} {row.group}".encode())
        for file in (path, path.with_name(f"{row.model.name}.extras.parquet")):
            state.update(file_sha256(file).encode() if file.exists() else b"-")
    return state.hexdigest()


def _ranks(table: Table) -> Drawing:
    lines = []
    for row in with_spectrum(table, MAX_LINES):
        found = row.model.attacks[table.rules.primary]
        rank = places(row.rank) if row.rank is not None and len(table.ranked) > 1 else ""
        lines.append(ranks.Line(mark(row), found.rfc, found.kept, rank))
    return ranks.Ranks(table.rules.primary, white_noise(*table.size)["rfc"], lines)


def _profiles(table: Table, shown: Shown) -> Drawing | None:
    primary = table.rules.primary
    found = [(row, shown.profiles.get(row.model.name, {})) for row in with_spectrum(table)]
    models = [(mark(row), of[primary]) for row, of in found if primary in of]
    radius = spectra.rings(*table.size).radius
    return profiles.Profiles(radius, models, shown.clean) if models else None


def _maps(table: Table, shown: Shown) -> Drawing | None:
    primary = table.rules.primary
    found = [(row, shown.extras[row.model.name].maps) for row in with_spectrum(table)]
    models = [(mark(row), *of[primary]) for row, of in found if primary in of]
    return maps.Maps(models) if models else None


def _scatter(table: Table) -> Drawing:
    points = []
    for row in with_spectrum(table, MAX_POINTS):
        found = row.model.attacks[table.rules.primary]
        clean = Interval(*(100 * value for value in row.model.clean))
        points.append(scatter.Point(mark(row), clean, found.norm, found.rfc))
    return scatter.Scatter(table.rules.primary, white_noise(*table.size)["rfc"], points)


def _curves(table: Table) -> Drawing:
    rows = with_spectrum(table)
    models = [read_samples(row.model.submission) for row in rows]
    panels = []
    for place, (name, spec) in enumerate(table.rules.attacks.items()):
        if spec.minimal:
            epsilons = _budgets(models, place)
            accuracies = [
                100
                * robust_accuracy(s.norm[place], s.fooled[place], s.clean_correct[place], epsilons)
                for s in models
            ]
            panels.append(curves.Panel(name, spec.norm, epsilons, accuracies))
    return curves.Curves([mark(row) for row in rows], panels)


def _budgets(models: list[Samples], attack: int) -> Floats:
    """101 budgets from 0 to where nearly every sample of every model is fooled."""
    ends = [np.nanquantile(s.norm[attack], 0.98) for s in models if s.kept[attack].any()]
    return np.linspace(0, max([float(end) for end in ends] or [1.0]), 101)


def _examples(table: Table, shown: Shown) -> Drawing | None:
    """The samples that most models have an example of."""
    found = []
    for row in with_spectrum(table):
        here = shown.extras[row.model.name].examples.get(table.rules.primary, ())
        if here:
            found.append((mark(row), {example.sample_id: example for example in here}))
    seen = Counter(sample for _, here in found for sample in here)
    samples = sorted(sorted(seen, key=lambda i: (-seen[i], i))[:SAMPLES])
    models = [(each, here) for each, here in found if here.keys() & set(samples)]
    return examples.Examples(samples, models[:MAX_COLUMNS]) if samples else None
