"""The table at the end of `bench eval`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.board.tabular import tabular
from bench.grid import white_noise
from bench.stats.intervals import Interval, mean_interval, median_norm, proportion_interval

if TYPE_CHECKING:
    import pandas as pd

    from bench.run.evaluate import CleanResult
    from bench.run.run import Run


def summary(run: Run, rows: pd.DataFrame) -> str:
    """Return the table of one evaluation with what a reader must know beside it.

    Args:
        run: what was run.
        rows: its rows, of the chosen attacks and samples.
    """
    lines = []
    for attack in run.attacks:
        lines.append(_line(run, attack, rows[rows["attack"] == attack].sort_values("sample_id")))
    height, width = run.loaded.input_shape[1:]
    white = white_noise(height, width)
    text = [
        f"\n{run.metadata['model']} on {run.dataset.title}, protocol {run.protocol.name} "
        f"({run.metadata['protocol_hash'][:12]})\n",
        tabular(lines, left=()),
        "\nn: kept (clean-correct and fooled) of all samples. RFC: radial frequency centroid in "
        f"units of Nyquist (white noise: {white['rfc']:.3f}); HFE: energy share above half of "
        f"Nyquist (white noise: {white['hfe']:.3f}). Brackets: 95 % bootstrap intervals.",
    ]
    if run.partial_reasons:
        text.append(f"PARTIAL, never ranked: {'; '.join(run.partial_reasons)}.")
    if run.metadata["control"]:
        text.append("CONTROL: untrained weights.")
    text.append(f"Written: {run.store.where}")
    return "\n".join(text) + "\n"


COLUMNS = ("clean_correct", "success", "rfc", "hfe", "l1", "l2", "linf")
"""What the table is made of."""


def _line(run: Run, attack: str, rows: pd.DataFrame) -> dict[str, str]:
    correct = rows["clean_correct"].to_numpy(bool)
    fooled = rows["success"].to_numpy(bool)
    kept = fooled & rows["rfc"].notna().to_numpy()
    norm = run.job.attacks[attack].norm
    seed = run.protocol.seed
    accuracy = proportion_interval(int(correct.sum()), len(rows))
    success = proportion_interval(int(fooled.sum()), int(correct.sum()))
    return {
        "attack": attack,
        "n": f"{int(kept.sum())}/{len(rows)}",
        "clean acc": _percent(accuracy),
        "success": _percent(success),
        "median norm": f"{median_norm(rows[norm].to_numpy(), fooled, correct):.4g} {norm}",
        "RFC": _interval(mean_interval(rows["rfc"].to_numpy(), kept, seed)),
        "HFE": _interval(mean_interval(rows["hfe"].to_numpy(), kept, seed)),
    }


def _percent(found: Interval) -> str:
    return "-" if found.mean != found.mean else f"{100 * found.mean:.1f} %"


def _interval(found: Interval) -> str:
    if found.mean != found.mean:
        return "-"
    if found.low != found.low:
        return f"{found.mean:.3f}"
    return f"{found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]"


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
