"""The table at the end of `bench eval`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from bench.show.result import NEEDED
from bench.show.source import NAMES, from_frame
from bench.show.text import legend, table, warnings_of
from bench.stats.intervals import proportion_interval

if TYPE_CHECKING:
    import pandas as pd

    from bench.run.evaluate import CleanResult
    from bench.run.plan import Plan


def summary(run: Plan, rows: pd.DataFrame) -> str:
    """Return the table of one evaluation with what a reader must know beside it.

    Args:
        run: what was run.
        rows: its rows, of the chosen attacks and samples.
    """
    rows.attrs["bench"] = [{**run.metadata, "file": run.store.where}]
    (result,) = from_frame(rows)
    where = run.store.where
    text = [
        f"\n{run.metadata['model']} on {run.dataset.title}, protocol {run.protocol.name} "
        f"({run.metadata['protocol_hash'][:12]})\n",
        table(result),
        f"\n{legend(result)}",
        *warnings_of(result),
        f"Written: {where}",
        f"See it: bench show {shlex.quote(where)}",
    ]
    return "\n".join(text) + "\n"


COLUMNS = tuple(name for name in (*NAMES, *NEEDED) if name not in ("attack", "sample_id"))
"""What the table is made of."""


def clean_summary(result: CleanResult) -> str:
    """Return the lines for `--attack clean`: top-1 and top-5 with 95 % intervals."""
    lines, found = [], result.rows
    for name, below in (("top-1", 1), ("top-5", 5)):
        right = int((found["label_rank"] < below).sum())
        share = proportion_interval(right, len(found))
        lines.append(
            f"{name}: {100 * share.mean:.2f} % [{100 * share.low:.2f}, {100 * share.high:.2f}]"
            f"  ({right} of {len(found)})"
        )
    if result.accuracy.agrees:
        lines.append(str(result.accuracy))
    return "\n".join(lines) + "\n"
