"""What figures and page show of a table: names and kinds of its models, and their spectra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from bench.board.spectra import clean_profile, profiles
from bench.board.table import Row, Table
from bench.figures.mark import Mark
from bench.figures.profiles import Profile
from bench.figures.style import plain
from bench.results.extras import Extras, read_extras
from bench.results.read import Submission
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
    rows = with_spectrum(table, models)
    attacks = list(table.rules.attacks)
    names, submissions = [r.model.name for r in rows], [r.model.submission for r in rows]
    broken: dict[str, str] = {}

    def spectra_of(submission: Submission) -> tuple[Extras, Mapping[str, Profile]]:
        path = submission.path.with_name(f"{submission.name}.extras.parquet")
        try:
            return read_extras(path, submission.input_shape), profiles(submission, attacks)
        except Exception as error:  # whatever a stranger's file leads to, it is that file's
            text = (str(error).splitlines() or [""])[0][:200]
            text = text.encode("utf-8", "backslashreplace").decode()
            broken[submission.name] = f"spectra not shown ({type(error).__name__}: {text})"
            return Extras({}, {}, {}), {}

    with ThreadPoolExecutor(workers()) as pool:
        found = dict(zip(names, pool.map(spectra_of, submissions), strict=True))
    side = {name: pair[0] for name, pair in found.items()}
    lines = {name: pair[1] for name, pair in found.items()}
    return Shown(lines, side, clean_profile(table, side), broken)


def with_spectrum(table: Table, models: int = MAX_MODELS) -> Sequence[Row]:
    """Return the first models of a table that have a spectrum under the primary attack."""
    return [row for row in table.rows if row.model.attacks[table.rules.primary].kept > 0][:models]


def is_linear(row: Row) -> bool:
    """Whether the model is one of the nets without a nonlinearity."""
    return row.model.submission.metadata.net.get("relu") is False


def short_name(row: Row) -> str:
    """Return a model's name for people, without the data set."""
    return _short(row.name, row)


def _short(name: str, row: Row) -> str:
    short = name.removeprefix(row.model.submission.rules.dataset.name + "-")
    return short.replace("@random", " (untrained)").replace("@seed", ", seed ")


def mark(row: Row) -> Mark:
    """Return how a model is told apart in figures; its label leaves out the data set."""
    meta, name = row.model.submission.metadata, row.model.name
    return Mark(
        name=name,
        label=plain(_short(name, row)),
        family=plain(meta.family),
        type=plain(meta.type),
        linear=is_linear(row),
        control=row.model.control,
        ranked=row.rank is not None,
    )
