"""The table at the end of `bench eval`."""

from __future__ import annotations

import math
import shlex
from typing import TYPE_CHECKING

from bench.board.tabular import tabular
from bench.show.result import NEEDED
from bench.show.source import NAMES, from_frame
from bench.show.text import legend, table, warnings_of
from bench.stats.intervals import proportion_interval

if TYPE_CHECKING:
    import pandas as pd

    from bench.run.cost import Cost
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


def cost_table(cost: Cost) -> str:
    """Return the table of `--dry-run`."""
    lines = [
        {
            "attack": each.attack,
            "samples": f"{each.attacked} of {each.samples}",
            "steps": each.steps,
            "passes": f"{each.passes:,}",
            "ms/step": f"{1000 * each.seconds_per_step:.1f}",
            "hours": f"{each.seconds / 3600:.3f}",
            "RFC +-": "-" if math.isnan(each.rfc_half_width) else f"{each.rfc_half_width:.3f}",
        }
        for each in cost.attacks
    ]
    return (
        f"{cost.model}: clean accuracy of the first batch {100 * cost.accuracy:.1f} %, batch size "
        f"{cost.batch_size}, peak memory {cost.memory_bytes / 2**30:.2f} GiB\n"
        + tabular(lines, left=())
        + f"\nabout {cost.seconds / 3600:.2f} hours in all; minimal attacks may end sooner, as "
        "samples that have converged leave. RFC +-: half of the expected 95 % interval.\n"
        f"Downloads: {', '.join(cost.downloads) or 'none'}"
        f"{' (in the local cache now)' if cost.downloads else ''}. "
        "Nothing was run and nothing written.\n"
    )
