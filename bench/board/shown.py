"""What figures and page show of a table: names and kinds of its models, and their spectra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bench.board.spectra import clean_profile, profiles
from bench.board.table import Row, Table
from bench.figures.mark import Mark
from bench.figures.profiles import Profile
from bench.figures.style import plain
from bench.results.extras import Extras, read_extras
from bench.stats.bootstrap import workers

MAX_MODELS = 24
"""Models in a figure; more can't be told apart."""


@dataclass(frozen=True)
class Shown:
    """The spectra of one table's models, read once for figures and page.

    Attributes:
        profiles: model -> attack -> profile.
        extras: model -> side file.
        clean: profile of the clean images.
    """

    profiles: Mapping[str, Mapping[str, Profile]]
    extras: Mapping[str, Extras]
    clean: Profile | None


def read(table: Table, models: int) -> Shown:
    """Read the spectra of a table's first models.

    Args:
        table: whose models.
        models: at most so many, ranked ones first.
    """
    rows = with_spectrum(table, models)
    attacks = list(table.rules.attacks)
    names, submissions = [r.model.name for r in rows], [r.model.submission for r in rows]
    with ThreadPoolExecutor(workers()) as pool:
        files = [s.path.with_name(f"{s.name}.extras.parquet") for s in submissions]
        side = dict(zip(names, pool.map(read_extras, files), strict=True))
        curves_of = pool.map(lambda s: profiles(s, attacks), submissions)
        found = dict(zip(names, curves_of, strict=True))
    return Shown(found, side, clean_profile(table, side))


def with_spectrum(table: Table, models: int = MAX_MODELS) -> Sequence[Row]:
    """Return the first models of a table that have a spectrum under the primary attack."""
    return [row for row in table.rows if row.model.attacks[table.rules.primary].kept > 0][:models]


def is_linear(row: Row) -> bool:
    """Whether the model is one of the nets without a nonlinearity."""
    entry = row.model.submission.metadata.get("entry")
    net = entry.get("net") if isinstance(entry, dict) else None
    return isinstance(net, dict) and net.get("relu") is False


def mark(row: Row) -> Mark:
    """Return how a model is told apart in figures; its label leaves out the data set."""
    meta, name = row.model.submission.metadata, row.model.name
    short = name.removeprefix(row.model.submission.rules.dataset.name + "-")
    return Mark(
        name=name,
        label=plain(short.replace("@random", " (untrained)").replace("@seed", ", seed ")),
        family=plain(str(meta.get("family", "?"))),
        type=plain(str(meta.get("type", "?"))),
        linear=is_linear(row),
        control=row.model.control,
        ranked=row.rank is not None,
    )
