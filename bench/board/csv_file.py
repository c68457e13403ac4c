"""Every number of the board in one CSV file: a line for each model and attack."""

from __future__ import annotations

import csv
import io
import math

from bench.board.flags import flags, verified
from bench.board.numbers import ALONE, WITH_INTERVAL
from bench.board.table import Board, Excess, Row, Table
from bench.stats.intervals import NOTHING, Interval
from bench.stats.optimality import Optimality

Cell = str | int | float | Interval

INTERVALS = (
    "clean_accuracy",
    "seeds_rfc",
    "success",
    "median_norm",
    *WITH_INTERVAL,
    "hfx",
    "rfc_common",
    "above_best_rate",
    "mean_excess",
    "optimality",
    "above_minimum_rate",
    "rfc_minus_minimum",
)
"""Columns that two more follow, `_low` and `_high`."""
COLUMNS = (
    *("dataset", "protocol", "protocol_hash", "height", "width"),
    *("model", "family", "type", "n_params", "control"),
    *("checkpoint_rank_low", "checkpoint_rank_high", "checkpoint_tie"),
    *("recipe_rank_low", "recipe_rank_high", "recipe_tie", "claims_stand_to_seed_sd"),
    *("n_seeds", "seeds_rfc", "seeds_sd", "n_kept_by_all_seeds", "seed_means"),
    *("reasons", "flags", "verified", "n_samples", "clean_accuracy"),
    *("attack", "norm", "n_clean_correct", "n_kept", "success", "median_norm"),
    *(*WITH_INTERVAL, "hfx", *ALONE, "n_common", "rfc_common"),
    *("zero_grad_rate", "n_broken", "stronger_pgd_rate"),
    *("n_witnessed", "above_best_rate", "mean_excess", "optimality"),
    *("minimum", "n_minimum", "median_excess_over_minimum", "above_minimum_rate"),
    *("n_rfc_minus_minimum", "rfc_minus_minimum", "native_size", "transform"),
)
HEADER = tuple(
    name + end
    for name in COLUMNS
    for end in (("", "_low", "_high") if name in INTERVALS else ("",))
)


def csv_text(board: Board) -> str:
    """Return the file's text; numbers with 6 significant digits, empty where missing."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(HEADER)
    for table in board.tables:
        for row in table.rows:
            for attack in table.rules.attacks:
                writer.writerow(line(row, table, attack))
    return stream.getvalue()


def line(row: Row, table: Table, attack: str) -> list[str]:
    """Return the cells of one model and attack, in the order of HEADER."""
    cells = _cells(row, table, attack)
    return [text for name in COLUMNS for text in _texts(cells[name])]


def _cells(row: Row, table: Table, attack: str) -> dict[str, Cell]:
    """Column -> cell; an interval makes three columns."""
    return {
        **_about(row, table),
        **_ranks(row),
        **_seeds(row),
        "reasons": "; ".join(row.model.reasons),
        "flags": "; ".join(flags(row, table.rules)),
        "verified": safe_text(verified(row.model)),
        "n_samples": row.model.samples,
        "clean_accuracy": row.model.clean,
        **_numbers(row, table, attack),
        **_minimum(row.model.attacks[attack].optimality, row.excess.get(attack)),
        "native_size": table.rules.dataset.native_size,
        "transform": row.model.submission.transform or "",
    }


def _about(row: Row, table: Table) -> dict[str, Cell]:
    meta, rules = row.model.submission.metadata, table.rules
    return {
        "dataset": rules.dataset.name,
        "protocol": rules.protocol.name,
        "protocol_hash": rules.hash,
        "height": table.size[0],
        "width": table.size[1],
        "model": row.name,
        "family": safe_text(meta.family),
        "type": safe_text(meta.type),
        "n_params": str(meta.n_params),
        "control": int(row.model.control),
    }


def _ranks(row: Row) -> dict[str, Cell]:
    low, high = row.rank or ("", "")
    recipe_low, recipe_high = row.recipe_rank or ("", "")
    return {
        "checkpoint_rank_low": low,
        "checkpoint_rank_high": high,
        "checkpoint_tie": row.group,
        "recipe_rank_low": recipe_low,
        "recipe_rank_high": recipe_high,
        "recipe_tie": row.recipe_group,
        "claims_stand_to_seed_sd": row.seed_sd,
    }


def _seeds(row: Row) -> dict[str, Cell]:
    seeds = row.seeds
    return {
        "n_seeds": len(seeds.counted),
        "seeds_rfc": seeds.mean,
        "seeds_sd": seeds.sd,
        "n_kept_by_all_seeds": seeds.common,
        "seed_means": " ".join(f"{seed}:{_number(mean)}" for seed, mean in seeds.each.items()),
    }


def _numbers(row: Row, table: Table, attack: str) -> dict[str, Cell]:
    found, common = row.model.attacks[attack], table.common
    return {
        "attack": attack,
        "norm": table.rules.attacks[attack].norm,
        "n_clean_correct": found.correct,
        "n_kept": found.kept,
        "success": found.success,
        "median_norm": found.norm,
        **{name: found.means[name] for name in WITH_INTERVAL},
        "hfx": found.hfx,
        **{name: found.means[name].mean for name in ALONE},
        "n_common": common.ids.get(attack, "") if row.name in common.rfc.get(attack, {}) else "",
        "rfc_common": common.rfc.get(attack, {}).get(row.name, NOTHING),
        "zero_grad_rate": found.zero_grad,
        "n_broken": found.broken,
        "stronger_pgd_rate": found.stronger_pgd,
    }


def _minimum(tested: Optimality | None, excess: Excess | None) -> dict[str, Cell]:
    return {
        "n_witnessed": tested.n if tested else "",
        "above_best_rate": tested.longer if tested else NOTHING,
        "mean_excess": tested.excess if tested else NOTHING,
        "optimality": tested.score if tested else NOTHING,
        "minimum": excess.minimum if excess else "",
        "n_minimum": excess.n if excess else "",
        "median_excess_over_minimum": excess.median if excess else float("nan"),
        "above_minimum_rate": excess.longer if excess else NOTHING,
        "n_rfc_minus_minimum": excess.common if excess else "",
        "rfc_minus_minimum": excess.rfc if excess else NOTHING,
    }


def _texts(cell: Cell) -> list[str]:
    if isinstance(cell, Interval):
        return [_number(value) for value in cell]
    return [_number(cell) if isinstance(cell, float) else str(cell)]


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"


def safe_text(value: object) -> str:
    """A name from a stranger's file: never a spreadsheet formula."""
    text = str(value)
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
