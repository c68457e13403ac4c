"""Are kept challenges what they say they are? All that needs no model.

That they fool the model is judged by `bench challenge --check`, which runs it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.errors import BenchError
from bench.results.challenges import GAIN, KEPT, STATED
from bench.results.read import open_submission
from bench.submissions.check.footer import (
    check_columns,
    open_checked,
    read_bench_metadata,
    read_columns,
)
from bench.submissions.check.places import Place
from bench.submissions.check.problems import Findings, short
from bench.submissions.check.rows import Rows

MAX_WHO = 60
"""Characters of a sender's name."""
MAX_ADDED = 40
MOST = 20_000
SAME = 1e-6
"""Relative difference that a stated norm may have."""
REMAKE = "make it with `bench challenge`"
ORDERS = {"l1": 1, "l2": 2, "linf": np.inf}


def check_challenge(place: Place, rows: Rows | None, findings: Findings) -> None:
    """Check the challenges of a submission against its rows.

    Args:
        place: their file.
        rows: the submission's rows, None if they can't be judged.
        findings: gets what is wrong.
    """
    file = open_checked(place.path, MOST, findings)
    if file is None or not check_columns(file, KEPT, findings):
        return
    _check_stated(place, read_bench_metadata(file, findings), findings)
    table = read_columns(file, findings)
    if table is None or rows is None:
        return
    best = _best(rows)
    seen: set[tuple[str, int]] = set()
    for number in range(len(table)):
        text = _problem(table.row(number), rows, best, seen)
        if text:
            findings.add(f"row {number}", text, REMAKE)


def _check_stated(place: Place, meta: dict[str, Any] | None, findings: Findings) -> None:
    if meta is None:
        return
    wanted = {"protocol": place.protocol, "dataset": place.dataset, "model": place.name}
    try:
        result = open_submission(place.path.with_name(f"{place.name}.parquet"))
        wanted["weights_sha256"] = result.metadata.weights_sha256
    except BenchError:
        pass  # which is the result's own problem
    for key in STATED:
        if key in wanted and meta.get(key) != wanted[key]:
            found = "none" if key not in meta else short(meta[key])
            text = f"expected {short(wanted[key])} (that of the row), found {found}"
            remedy = "remove it: the row has changed" if key == "weights_sha256" else REMAKE
            findings.add(f"metadata {key}", text, remedy)


def _best(rows: Rows) -> dict[tuple[str, int], float]:
    """(minimal attack, sample) -> the shortest distance that row and witnesses found."""
    found: dict[tuple[str, int], float] = {}
    for attack, spec in rows.rules.attacks.items():
        if not spec.minimal:
            continue
        rivals = [n for n, s in rows.rules.witnesses.items() if s.norm == spec.norm]
        for name in (attack, *rivals):
            here = np.flatnonzero(rows.of(name) & rows["clean_correct"])
            for row in here:
                key = (attack, int(rows["sample_id"][row]))
                fooled = bool(rows["success"][row]) and rows["status"][row] == "ok"
                distance = float(rows[spec.norm][row]) if fooled else np.inf
                if name == attack or key in found:
                    found[key] = min(found.get(key, np.inf), distance)
    return found


def _problem(
    row: dict[str, Any],
    rows: Rows,
    best: dict[tuple[str, int], float],
    seen: set[tuple[str, int]],
) -> str:
    """Return what is wrong with a row; "" if nothing is that can be told without the model."""
    if any(row[name] is None for name in KEPT.names):
        return "expected a value in every column, found none"
    key = (str(row["attack"]), int(row["sample_id"]))
    if key not in best:
        return (
            f"expected a clean-correct sample of a minimal attack, found {short(key[0])}, {key[1]}"
        )
    if key in seen:
        return f"expected one challenge of {key[0]}, sample {key[1]}, found two"
    seen.add(key)
    for name, most in (("who", MAX_WHO), ("added", MAX_ADDED)):
        text = str(row[name])
        if not text.strip() or not text.isprintable() or len(text) > most:
            return f"expected a printable text of at most {most} characters in {name}"
    delta = np.asarray(row["delta"], dtype=np.float64)
    if tuple(int(side) for side in row["shape"]) != rows.shape or delta.size != rows.dims:
        return f"expected a perturbation {rows.shape}, found another shape"
    if not np.isfinite(delta).all() or np.abs(delta).max() > 1:
        return "expected finite values within [-1, 1], found others"
    order = ORDERS[rows.rules.attacks[key[0]].norm]
    norm, stated = float(np.linalg.norm(delta, order)), float(row["norm"])
    if not abs(norm - stated) <= SAME * norm:
        return f"expected the norm that it has, {norm:.9g}, found {stated:.9g}"
    if not norm <= (1 - GAIN) * best[key]:
        return f"expected a norm {GAIN:.1%} below {best[key]:.6g}, the best known, found {norm:.6g}"
    return ""
