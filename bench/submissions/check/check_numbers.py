"""Do a row's numbers fit each other? Norms, budgets, and what the radial profile implies.

Every check is a theorem about the definitions, with slack for the rounding of the stored types;
so an honest row always passes and an invented one needs work.
"""

from __future__ import annotations

import numpy as np

from bench.entries.ids import places
from bench.grid import BIN_WIDTH, BINS, frequency_grid, ring_counts
from bench.metrics import Metric
from bench.submissions.check.problems import Findings
from bench.submissions.check.rows import Array, Rows
from bench.submissions.check.truth import embedded, true_image_rfc

SLACK = 1e-6
HALF = 2e-3
"""Relative slack of sums over float16 values."""
LUMA_POWER = 0.2989**2 + 0.5870**2 + 0.1140**2


def check_numbers(rows: Rows, findings: Findings) -> None:
    """Check ranges, norms, budgets and spectra of every row."""
    # a stranger's numbers may overflow; then a comparison fails, and that is the finding
    with np.errstate(all="ignore"):
        _all(rows, findings)


def _all(rows: Rows, findings: Findings) -> None:
    for metric in rows.metrics:
        _range(rows, metric, findings)
    findings.rows(~(rows["seconds"] >= 0) & rows.measured, "seconds of at least 0", rows["seconds"])
    _norms(rows, findings)
    _budgets(rows, findings)
    _profile(rows, findings)
    _luma(rows, findings)
    _image_rfc(rows, findings)
    _copies(rows, findings)


def _range(rows: Rows, metric: Metric, findings: Findings) -> None:
    value = rows[metric.name]
    profile = metric.length is not None
    # profiles may be float16
    low, high = (
        end + sign * (HALF * max(1, abs(end)) if profile else SLACK)
        for end, sign in ((metric.low, -1), (metric.high, 1))
    )
    outside = (value < low) | (value > high)
    bad = outside.any(axis=1) if profile else outside
    span = f"from {metric.low:.4g} to {metric.high:.4g}"
    text = f"{metric.name} {span if np.isfinite(metric.high) else f'of at least {metric.low:.4g}'}"
    findings.rows(bad, text, None if profile else value)


def _norms(rows: Rows, findings: Findings) -> None:
    l0, l2, linf = (rows[name] for name in ("l0", "l2", "linf"))
    bad = (l0 < 0) | (l0 > rows.dims) | (l0 != np.rint(l0)) & ~np.isnan(l0)
    findings.rows(bad, f"l0 a whole number from 0 to {rows.dims}", l0)
    more = 1 + SLACK
    for name, low, high, text in (
        ("l2", linf, np.sqrt(l0) * linf, "linf <= l2 <= sqrt(l0) linf"),
        ("l1", l2, np.sqrt(l0) * l2, "l2 <= l1 <= sqrt(l0) l2"),
        ("l1", l2**2 / np.maximum(linf, 1e-300), l0 * linf, "l2^2 / linf <= l1 <= l0 linf"),
    ):
        value = rows[name]
        bad = (value < low / more - 1e-9) | (value > high * more + 1e-9)
        findings.rows(bad, f"{name} with {text}", value)


def _budgets(rows: Rows, findings: Findings) -> None:
    for name, spec in rows.rules.everything.items():
        budget = spec.budget(rows.dims)
        if budget is None:
            continue
        # image + delta is rounded to float32 in [0, 1]: at most 2^-24 a value
        rounding = {"linf": 1.0, "l2": rows.dims**0.5, "l1": float(rows.dims)}[spec.norm] * 2**-24
        value = rows[spec.norm]
        bad = rows.of(name) & (value > budget * (1 + 1e-5) + rounding)
        findings.rows(bad, f"{spec.norm} within the budget {budget:.6g} of {name}", value)


def _profile(rows: Rows, findings: Findings) -> None:
    energy = rows["radial_energy"]
    there = np.asarray(~np.isnan(energy).any(axis=1))
    total = energy.sum(axis=1)
    bad = there & (np.abs(total - 1) > HALF)
    if findings.rows(bad, "radial_energy that sums to 1", total):
        return
    bins = frequency_grid(*rows.shape[1:]).bin
    r = frequency_grid(*rows.shape[1:]).radius
    empty = np.bincount(bins[1:], minlength=BINS) == 0
    lost = np.where(empty, energy, 0).sum(axis=1)
    findings.rows(there & (lost > HALF), "no radial_energy in bins without a frequency", lost)
    centre = (np.arange(BINS) + 0.5) * BIN_WIDTH
    gap = np.abs(energy @ centre / np.where(total > 0, total, 1) - rows["rfc"])
    findings.rows(
        there & ~(gap <= BIN_WIDTH / 2 + 1e-3),
        "rfc within half a bin (.011) of the centroid of radial_energy, the distance",
        gap,
    )
    _high(rows, energy, there, findings)
    _half_power(rows, energy, there, bins, r, findings)


def _high(rows: Rows, energy: Array, there: Array, findings: Findings) -> None:
    edges = np.arange(BINS + 1) * BIN_WIDTH
    low = energy[:, edges[:-1] > 0.5].sum(axis=1)
    high = energy[:, edges[1:] > 0.5].sum(axis=1)
    hfe = rows["hfe"]
    bad = there & ~((hfe >= low - HALF) & (hfe <= high + HALF))
    findings.rows(bad, "hfe as radial_energy has above half of Nyquist", hfe)


def _half_power(
    rows: Rows, energy: Array, there: Array, bins: Array, r: Array, findings: Findings
) -> None:
    f50 = rows["f50"]
    grid = np.unique(r)
    above = np.searchsorted(grid, np.where(there, f50, 0)).clip(1, len(grid) - 1)
    gap = np.minimum(np.abs(grid[above] - f50), np.abs(grid[above - 1] - f50))
    bad = there & ~(gap <= SLACK)
    if findings.rows(bad, "f50 on the frequency grid of this image size", f50):
        return
    place = np.floor(np.where(there, f50, 0) / BIN_WIDTH + 1e-9).astype(int).clip(0, BINS - 1)
    cumulative = energy.cumsum(axis=1)
    upto = np.take_along_axis(cumulative, place[:, None], axis=1)[:, 0]
    below = upto - np.take_along_axis(energy, place[:, None], axis=1)[:, 0]
    bad = there & ~((upto >= 0.5 - HALF) & (below <= 0.5 + HALF))
    findings.rows(bad, "f50 where radial_energy reaches one half", f50)


def _luma(rows: Rows, findings: Findings) -> None:
    """A ring's mean log amplitude is at most the log of its mean power (Jensen, Cauchy)."""
    profile, energy = rows["log_luma_profile"], rows["radial_energy"]
    height, width = rows.shape[1:]
    count = ring_counts(height, width).astype(float)
    there = ~np.isnan(energy).any(axis=1) & ~np.isnan(profile).all(axis=1)
    filled = np.isnan(profile) == (count == 0)[None, :]
    findings.rows(there & ~filled.all(axis=1), "log_luma_profile NaN on empty rings only")
    # ortho power of all channels on a ring, and the DC power, which lies on the first ring
    power = energy * (rows["l2"] ** 2 * (1 - rows["dc_share"]))[:, None]
    power[:, 0] += rows["l2"] ** 2 * rows["dc_share"]
    share = LUMA_POWER if rows.shape[0] == 3 else 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        # float16 shares may be off by 1e-3 of themselves or 6e-8 in all
        loose = power * (1 + HALF) + 1e-7 * (rows["l2"] ** 2)[:, None]
        bound = 0.5 * np.log(share * loose * height * width / count)
    floor = np.log(1e-12)
    over = profile - np.maximum(bound, floor)
    bad = there & (np.nan_to_num(over, nan=-1.0, neginf=-1.0) > 0.02).any(axis=1)
    findings.rows(bad, "log_luma_profile below the log of radial_energy's power")


def _image_rfc(rows: Rows, findings: Findings) -> None:
    """Where the images are embedded, their RFC is known."""
    path = embedded(rows.rules)
    found = None if path is None else true_image_rfc(path, rows.rules.ids)
    if found is None or found[1] != rows.shape:
        return
    truth = found[0]
    place, _ = places(rows.rules.ids, rows["sample_id"])
    bad = rows.measured & ~(np.abs(rows["image_rfc"] - truth[place]) <= 1e-4)
    findings.rows(bad, "the image_rfc of the data set's image", rows["image_rfc"])


def _copies(rows: Rows, findings: Findings) -> None:
    """Two samples have the very same perturbation only if they are the same image: rare."""
    names = ("l1", "l2", "linf", "rfc", "hfe")
    keys = np.stack([rows[name] for name in names], axis=1)
    for attack in rows.rules.everything:
        here = np.flatnonzero(rows.of(attack) & ~np.isnan(keys).any(axis=1))
        _, group, count = np.unique(keys[here], axis=0, return_inverse=True, return_counts=True)
        copied = np.zeros(len(rows), dtype=bool)
        copied[here] = count[group.ravel()] > 1
        if copied.sum() > max(2, 0.01 * len(here)):
            findings.rows(copied, f"a different perturbation for every sample of {attack}")
