"""Numbers as data frames: what the commands print, for programs and notebooks."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.board.compare import Difference
from bench.board.join.join import Joined
from bench.errors import BenchError
from bench.grid import white_noise
from bench.show.numbers import Numbers, numbers
from bench.show.result import Result
from bench.show.source import from_file, from_frame, locate
from bench.stats.intervals import Interval

if TYPE_CHECKING:
    import pandas as pd

    from bench.submissions.challenge.judge import Verdict


def results(found: object, folders: Sequence[Path]) -> list[Result]:
    """Return the results in what a call was given: a frame, a name, or a file.

    Raises:
        BenchError: it is none of them, or there is no such result.
    """
    import pandas as pd

    if isinstance(found, pd.DataFrame):
        return from_frame(found)
    if isinstance(found, str | Path):
        return [from_file(locate(str(found), folders))]
    raise BenchError(
        "expected the rows of bench.evaluate, a model's name or a result file, got "
        f"{str(found)[:40]!r} ({type(found).__name__})"
    )


def summary_frame(found: Sequence[Result]) -> pd.DataFrame:
    """Return the numbers of some results, a row for each model and attack."""
    import pandas as pd

    return pd.DataFrame([_row(result, each) for result in found for each in numbers(result)])


def _row(result: Result, found: Numbers) -> dict[str, Any]:
    return {
        "model": result.name,
        "dataset": result.dataset.name,
        "protocol": result.protocol.name,
        "attack": found.attack,
        "norm": found.norm,
        "witness": found.witness,
        "n_samples": found.samples,
        "n_clean_correct": found.correct,
        "n_kept": found.kept,
        **_interval("clean_accuracy", found.clean),
        **_interval("success", found.success),
        **_interval("median_norm", found.median),
        **_interval("rfc", found.rfc),
        **_interval("hfe", found.hfe),
        "image_rfc": found.image_rfc,
        "white_rfc": white_noise(*result.size)["rfc"],
        "partial": bool(result.reasons),
    }


def _interval(name: str, found: Interval) -> dict[str, float]:
    return {name: found.mean, f"{name}_low": found.low, f"{name}_high": found.high}


def difference_frame(found: Sequence[Difference], first: str, second: str) -> pd.DataFrame:
    """Return paired differences of two named models, a row for each attack and quantity."""
    import pandas as pd

    ends = ("difference", "difference_low", "difference_high", "told_apart", "headline")
    rows = [
        (d.attack, d.quantity, d.n, d.first, d.second, *d.difference, bool(d.separable), d.headline)
        for d in found
    ]
    table = pd.DataFrame(rows, columns=["attack", "quantity", "n", "first", "second", *ends])
    table.attrs.update(first=first, second=second)
    return table


def verdict_frame(found: Sequence[Verdict]) -> pd.DataFrame:
    """Return what came of a challenge, a row for each perturbation."""
    import pandas as pd

    names = ("attack", "sample_id", "accepted", "norm", "best_known", "reason")
    rows = [(v.attack, v.sample_id, not v.reason, v.norm, v.best, v.reason) for v in found]
    return pd.DataFrame(rows, columns=list(names))


def joined_frame(parts: Sequence[Joined]) -> pd.DataFrame:
    """Return the joined table: a row for each model and table of the board that has a match."""
    import pandas as pd

    from bench.board.join.report import csv_text

    return pd.read_csv(io.StringIO(csv_text(parts)))


def correlation_frame(parts: Sequence[Joined]) -> pd.DataFrame:
    """Return rank correlations, a row for each table of the board and joined column."""
    import pandas as pd

    rows = []
    for part in parts:
        rules, (height, width) = part.table.rules, part.table.size
        for column, found in part.correlations.items():
            rows.append(
                {
                    "dataset": rules.dataset.name,
                    "protocol": rules.protocol.name,
                    "height": height,
                    "width": width,
                    "metric": part.metric,
                    "attack": part.attack,
                    "column": column,
                    "n": found.n,
                    **_interval("spearman", found.spearman),
                    **_interval("kendall", found.kendall),
                }
            )
    return pd.DataFrame(rows)
