"""Looking at what was measured: one result, two, or many beside other tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from bench.show.picture import Picture


def summary(
    result: pd.DataFrame | str | Path,
    *,
    folders: Sequence[str | Path] = ("results", "submissions"),
) -> pd.DataFrame:
    """Return the numbers that `bench eval` prints, a row for each model and attack.

    Args:
        result: the rows of `evaluate` (all columns, any number of models), or a model's name or
            result file.
        folders: where a name is looked for, in this order; partial results too.

    Returns:
        model, dataset, protocol, attack, norm, witness (whether it only tests the minimal
        attacks); n_samples, n_clean_correct, n_kept (fooled, with a spectrum); clean_accuracy and
        success in [0, 1], median_norm ([0, 1] pixels; infinite where fewer than half are fooled),
        rfc and hfe, each with `_low` and `_high` (95 % over the images; NaN where there is none);
        image_rfc of the clean images, white_rfc of white noise; partial.

    Raises:
        BenchError: these are no such rows, or there is no such result.
    """
    from bench.show.frames import results, summary_frame

    return summary_frame(results(result, [Path(folder) for folder in folders]))


def plot(
    result: pd.DataFrame | str | Path,
    *,
    output: str | Path | Sequence[str | Path] = (),
    attack: str | None = None,
    folders: Sequence[str | Path] = ("results", "submissions"),
    submissions: str | Path | None = "submissions",
) -> Picture:
    """Return a picture of one model: numbers, radial profile, mean spectrum, distances, examples.

    A notebook shows it; `save("x.png")`, `save("x.svg")` and `save("x.html")` write it.

    Args:
        result: the rows of `evaluate` of one model, or a model's name or result file.
        output: files to write at once: `.png`, `.svg`, or `.html` (one page that needs nothing).
        attack: whose perturbations; None: the protocol's primary attack.
        folders: where a name is looked for, in this order; partial results too.
        submissions: folder whose models of the same data set, protocol and input size are drawn
            thin beside it; None: none.

    Raises:
        BenchError: these are no such rows, there is no such result, or nothing can be written.
    """
    from bench.show.frames import results
    from bench.show.picture import picture

    found = results(result, [Path(folder) for folder in folders])
    made = picture(found, attack, None if submissions is None else Path(submissions))
    for path in [output] if isinstance(output, str | Path) else output:
        made.save(path)
    return made


def compare(
    first: str | Path,
    second: str | Path,
    *,
    folders: Sequence[str | Path] = ("results", "submissions"),
) -> pd.DataFrame:
    """Return the paired differences of two models, first minus second, the primary attack first.

    Args:
        first: a model's name, or a result file.
        second: another one.
        folders: where names are looked for, in this order; whole results before partial ones.

    Returns:
        attack, quantity, n (common samples), first and second (means over them), difference with
        `_low` and `_high` (NaN below 30 samples), told_apart, headline. The intervals of the
        headline (RFC, norm and success under the primary attack) hold together in 95 % of cases,
        and so do those of all others; told_apart is within that family. `attrs` name the models.

    Raises:
        BenchError: one of them is not there, or they are not comparable.
    """
    from bench.board.compare import compare as differences
    from bench.board.compare import open_pair
    from bench.show.frames import difference_frame
    from bench.show.source import locate

    places = [Path(folder) for folder in folders]
    a, b = open_pair(*(locate(str(name), places, whole=True) for name in (first, second)))
    return difference_frame(differences(a, b), a.name, b.name)


def join(
    tables: str | Path | Sequence[str | Path],
    *,
    metric: str = "rfc",
    attack: str | None = None,
    dataset: str | None = None,
    protocol: str | None = None,
    key: str = "model",
    columns: Sequence[str] = (),
    carry: bool = True,
    correlations: bool = False,
    submissions: str | Path = "submissions",
) -> pd.DataFrame:
    """Join public numbers to the board's by model name, with rank correlations.

    Args:
        tables: CSV files with a column of model names, such as timm's result tables.
        metric: the column of the board that is correlated with every joined column of numbers.
        attack: whose; None: the protocol's primary one.
        dataset: only tables of the board of this data set.
        protocol: only tables of the board of this protocol.
        key: the column of model names.
        columns: which other columns to take; none: all.
        carry: let the intervals carry each model's own uncertainty over samples as well.
        correlations: return the rank correlations instead of the joined models.
        submissions: folder of submissions.

    Returns:
        A row for each model: the board's columns (as `leaderboard.csv`), then each public
        table's, `<table>.<column>`, with `<table>.matched` saying by what it was found. With
        `correlations` a row for each table of the board and joined column: n, spearman and
        kendall with `_low` and `_high`, over the models that pass the gates.

    Raises:
        BenchError: a file is not such a table, or it names no model of the board.
    """
    options = dict(locals())
    del options["tables"], options["correlations"]
    from bench.board.join.call import join_files
    from bench.show.frames import correlation_frame, joined_frame

    parts = join_files(tables, **options)
    return correlation_frame(parts) if correlations else joined_frame(parts)
