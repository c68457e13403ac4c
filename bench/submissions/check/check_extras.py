"""Does the side file of spectra and example images belong to the rows?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bench.grid import BIN_WIDTH, BINS, frequency_grid, power_without_dc, ring_counts
from bench.metrics import Metric
from bench.results import schema
from bench.submissions.check.check_map import map_problems
from bench.submissions.check.footer import check_columns, open_checked, read_columns
from bench.submissions.check.places import Place
from bench.submissions.check.problems import Findings, short
from bench.submissions.check.rows import Array, Rows

MAX_ROWS = 100
MAP_SIDE = 64
REMAKE = "make it again with `bench submit`"


def check_extras(place: Place, rows: Rows | None, findings: Findings) -> None:
    """Check a side file; what it shows must be what the rows say.

    Args:
        place: the side file.
        rows: the result's rows, None if they can't be judged.
        findings: gets what is wrong.
    """
    file = open_checked(place.path, MAX_ROWS, findings)
    if file is None or not check_columns(file, schema.EXTRAS, findings):
        return
    table = read_columns(file, findings)
    if table is None or rows is None:
        return
    seen: set[tuple[str, str, int | None]] = set()
    for number in range(len(table)):
        _check_row(number, table.row(number), rows, seen, findings)
    if rows.version > 1:
        _whole(rows, seen, findings)


def _profiles(rows: Rows) -> dict[str, Metric]:
    """The profiles whose means a side file may hold; version 1 had none."""
    return {m.name: m for m in rows.metrics if m.length is not None and rows.version > 1}


def _whole(rows: Rows, seen: set[tuple[str, str, int | None]], findings: Findings) -> None:
    """Where rows have no profile of their own, the mean is there."""
    for attack in rows.rules.everything:
        if rows.whole(attack) or not _kept(rows, attack).any():
            continue
        for kind, metric in _profiles(rows).items():
            late = metric.since > 1
            if (attack, kind, None) not in seen and not late:
                findings.add("", f"expected the mean {kind} of {attack}, found none", REMAKE)


def _check_row(
    number: int,
    row: dict[str, Any],
    rows: Rows,
    seen: set[tuple[str, str, int | None]],
    findings: Findings,
) -> None:
    where = f"row {number}"
    attack, kind = str(row["attack"]), row["kind"]
    sample = row["sample_id"]
    means = _profiles(rows)
    if attack not in rows.rules.everything or kind not in ("spectrum", "example", *means):
        text = f"expected a spectrum or example of a known attack, found {short(kind)}, "
        findings.add(where, text + short(attack), REMAKE)
        return
    key = (attack, str(kind), sample if kind == "example" else None)
    if key in seen:
        findings.add(where, f"expected one {kind} of {attack} (sample {sample}), found two", REMAKE)
        return
    seen.add(key)
    values = _array(row, "values", where, findings)
    if values is None:
        return
    if kind in means:
        _check_mean(where, attack, means[kind], row, values, rows, findings)
    elif kind == "spectrum":
        _check_map(where, attack, row, values, rows, findings)
    else:
        delta = _array(row, "delta", where, findings)
        if delta is not None:
            _check_example(where, attack, sample, values, delta, rows, findings)


def _array(row: dict[str, Any], name: str, where: str, findings: Findings) -> Array | None:
    shape, values = row["shape"], row[name]
    size = None if values is None else len(values)
    whole = isinstance(shape, list) and 1 <= len(shape) <= 3
    if not whole or not all(isinstance(v, int) and 1 <= v <= 4096 for v in shape):
        findings.add(where, f"expected a shape, found {short(shape)}", REMAKE)
        return None
    if size != math.prod(shape):
        findings.add(where, f"expected {math.prod(shape)} {name}, found {size}", REMAKE)
        return None
    result: Array = values.reshape(shape)
    return result


def _kept(rows: Rows, attack: str) -> Array:
    kept: Array = rows.of(attack) & rows["success"] & ~np.isnan(rows["rfc"])
    return kept


def _check_map(
    where: str, attack: str, row: dict[str, Any], p: Array, rows: Rows, findings: Findings
) -> None:
    kept = _kept(rows, attack)
    n, height, width = int(kept.sum()), *rows.shape[1:]
    wanted = (min(height, MAP_SIDE), min(width, MAP_SIDE))
    if p.shape != wanted:
        findings.add(where, f"expected a map of {wanted}, found {p.shape}", REMAKE)
        return
    if row["n"] != n:
        findings.add(where, f"expected n = {n} kept samples, found {short(row['n'])}")
    if n == 0:
        return
    if not (np.isfinite(p).all() and (p >= 0).all() and abs(p.sum() - 1) < 1e-3):
        findings.add(where, f"expected shares that sum to 1, found {p.sum():.6g}")
        return
    for text in map_problems(p, rows, kept):
        findings.add(where, text)
    if wanted == (height, width):
        # linear in p: the mean map's centroid is the mean of the rows' centroids
        centroid = float(np.fft.ifftshift(p).ravel() @ frequency_grid(height, width).radius)
        mean = float(rows["rfc"][kept].mean())
        if abs(centroid - mean) > 1e-3:
            findings.add(
                where, f"expected the rows' mean rfc {mean:.4f} of {attack}, found {centroid:.4f}"
            )


def _check_mean(
    where: str,
    attack: str,
    metric: Metric,
    row: dict[str, Any],
    mean: Array,
    rows: Rows,
    findings: Findings,
) -> None:
    """A mean profile has the rows' count, and what is linear in it is the rows' mean."""
    kept = _kept(rows, attack)
    n = int(kept.sum())
    if mean.shape != (metric.length,):
        findings.add(where, f"expected {metric.length} values, found {short(mean.shape)}", REMAKE)
        return
    if row["n"] != n:
        findings.add(where, f"expected n = {n} kept samples, found {short(row['n'])}")
    if n == 0:
        return
    filled = ring_counts(*rows.shape[1:]) > 0 if metric.gaps else np.ones(len(mean), dtype=bool)
    inside = (mean >= metric.low - 1e-4) & (mean <= metric.high + 1e-4)
    if not (np.isnan(mean) == ~filled).all() or not inside[filled].all():
        findings.add(where, f"expected a mean {metric.name} {metric.range} on filled rings")
        return
    if metric.name != "radial_energy":
        return
    if abs(mean.sum() - 1) > 1e-3:
        findings.add(where, f"expected shares that sum to 1, found {mean.sum():.6g}")
        return
    centroid = float(mean @ (np.arange(BINS) + 0.5) * BIN_WIDTH)
    wanted = float(rows["rfc"][kept].mean())
    if abs(centroid - wanted) > BIN_WIDTH / 2 + 1e-3:
        text = f"expected a centroid within half a bin of the rows' mean rfc {wanted:.4f} of "
        findings.add(where, f"{text}{attack}, found {centroid:.4f}")


def _check_example(
    where: str,
    attack: str,
    sample: object,
    image: Array,
    delta: Array,
    rows: Rows,
    findings: Findings,
) -> None:
    if image.shape != rows.shape:
        findings.add(where, f"expected an image {rows.shape}, found {image.shape}", REMAKE)
        return
    found = np.flatnonzero(rows.of(attack) & (rows["sample_id"] == sample) & rows["success"])
    if len(found) == 0:
        findings.add(where, f"expected a kept sample of {attack}, found {short(sample)}")
        return
    both = image + delta
    for values in (image, both):
        if not (np.isfinite(values).all() and values.min() >= -1e-6 and values.max() <= 1 + 1e-6):
            findings.add(where, "expected images in [0, 1]")
            return
    power = power_without_dc(delta)
    radius = frequency_grid(*delta.shape[1:]).radius
    rfc = float(power @ radius / max(float(power.sum()), 1e-300))
    for name, value in (
        ("l2", float(np.sqrt((delta**2).sum()))),
        ("linf", float(np.abs(delta).max())),
        ("rfc", rfc),
    ):
        stated = float(rows[name][found[0]])
        if abs(value - stated) > 1e-3 * max(abs(stated), 1e-6):
            text = f"expected {name} {stated:.6g} as row {found[0]} of the result says, "
            findings.add(where, text + f"found {value:.6g} in the example")
