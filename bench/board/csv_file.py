"""Every number of the board in one CSV file: a line for each model and attack."""

from __future__ import annotations

import csv
import io
import math

from bench.board.table import Board, Row, Table
from bench.board.flags import flags, verified
from bench.stats.intervals import Interval

HEADER = (
    "dataset",
    "protocol",
    "protocol_hash",
    "height",
    "width",
    "model",
    "family",
    "type",
    "n_params",
    "control",
    "rank_low",
    "rank_high",
    "tie_group",
    "reasons",
    "flags",
    "verified",
    "n_samples",
    "clean_accuracy",
    "clean_accuracy_low",
    "clean_accuracy_high",
    "attack",
    "norm",
    "n_clean_correct",
    "n_kept",
    "success",
    "success_low",
    "success_high",
    "median_norm",
    "median_norm_low",
    "median_norm_high",
    "rfc",
    "rfc_low",
    "rfc_high",
    "hfe",
    "hfe_low",
    "hfe_high",
    "hfx",
    "hfx_low",
    "hfx_high",
    "image_rfc",
    "zero_grad_rate",
    "n_nonfinite",
    "stronger_pgd_rate",
    "native_size",
    "transform",
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
    rules, model, found = table.rules, row.model, row.model.attacks[attack]
    meta = model.submission.metadata
    low, high = row.rank or ("", "")
    head = [rules.dataset.name, rules.protocol.name, rules.hash, *table.size, model.name]
    head += [
        safe_text(meta.get("family", "")),
        safe_text(meta.get("type", "")),
        meta.get("n_params", ""),
    ]
    head += [int(model.control), low, high, row.group, "; ".join(model.reasons)]
    head += ["; ".join(flags(model, rules)), safe_text(verified(model)), model.samples]
    numbers: list[float] = [*model.clean]
    body = [attack, rules.attacks[attack].norm, found.correct, found.kept]
    tail: list[float] = []
    for part in (found.success, found.norm, found.rfc, found.hfe, found.hfx):
        tail += _values(part)
    tail += [found.image_rfc, found.zero_grad]
    end = [str(found.nonfinite), _number(found.stronger_pgd)]
    end += [str(rules.dataset.native_size), model.submission.transform or ""]
    return [*map(str, head), *map(_number, numbers), *map(str, body), *map(_number, tail), *end]


def _values(found: Interval) -> list[float]:
    return [found.mean, found.low, found.high]


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"


def safe_text(value: object) -> str:
    """A name from a stranger's file: never a spreadsheet formula."""
    text = str(value)
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
