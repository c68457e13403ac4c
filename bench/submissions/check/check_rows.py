"""Do the rows say what the protocol asks for, and nothing impossible?

What follows from the definitions is checked: ids, predictions, statuses, what must be missing.
The numbers' own consistency is in :mod:`bench.submissions.check.check_numbers`.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.entries.ids import places
from bench.entries.rules import Rules
from bench.metrics import METRICS
from bench.results import schema
from bench.results.columns import Columns
from bench.submissions.check.places import Place
from bench.submissions.check.problems import Findings, short
from bench.submissions.check.truth import true_labels

Array = npt.NDArray[Any]

SCALARS = tuple(m.name for m in METRICS if m.length is None)
UNMEASURED = ("clean_wrong", "init_failed", "nonfinite")
"""Statuses without any measured quantity."""
SPECTRAL = ("rfc", "hfe", "f50", "axis_share", "entropy")
"""Quantities that a perturbation without power outside DC does not have."""


class Rows:
    """A submission's columns as arrays, and which rows belong to which attack.

    Attributes:
        columns: the file's rows.
        rules: what they are held to.
        dims: number of input values C * H * W.
    """

    def __init__(self, columns: Columns, rules: Rules, shape: tuple[int, int, int]) -> None:
        self.columns, self.rules, self.shape = columns, rules, shape
        self.dims = shape[0] * shape[1] * shape[2]

    def __len__(self) -> int:
        return len(self.columns)

    def __getitem__(self, name: str) -> Array:
        """A column: text as str, whole numbers with -1, flags with False, numbers with NaN."""
        return self.columns[name]

    def null(self, name: str) -> Array:
        """(N,) True where the column is null."""
        return self.columns.null(name)

    @cached_property
    def measured(self) -> Array:
        """(N,) True where the perturbation was measured."""
        return ~np.isin(self["status"], UNMEASURED)

    def of(self, attack: str) -> Array:
        """(N,) True for the rows of one attack."""
        return np.asarray(self["attack"] == attack, dtype=bool)


def check_rows(rows: Rows, place: Place, findings: Findings) -> bool:
    """Check ids, predictions and statuses; False if the numbers can't be judged after that.

    Args:
        rows: the columns.
        place: where the file lies.
        findings: gets what is wrong.
    """
    _constants(rows, place, findings)
    if not _ids(rows, findings):
        return False
    _classes(rows, findings)
    _statuses(rows, findings)
    _labels(rows, findings)
    _missing(rows, findings)
    return True


def _constants(rows: Rows, place: Place, findings: Findings) -> None:
    wanted = {
        "protocol": place.protocol,
        "model": place.name,
        "dataset": place.dataset,
    }
    known = np.isin(rows["protocol_hash"], rows.rules.hashes)
    text = f"protocol_hash {rows.rules.hash[:16]}..."
    findings.rows(~known, text, rows["protocol_hash"])
    for name, value in wanted.items():
        findings.rows(rows[name] != value, f"{name} {short(value, 40)}", rows[name])


def _ids(rows: Rows, findings: Findings) -> bool:
    before = len(findings.problems)
    attack, ids = rows["attack"], rows["sample_id"]
    known = np.isin(attack, list(rows.rules.attacks))
    text = f"one of the attacks {', '.join(rows.rules.attacks)}"
    findings.rows(~known, text, attack, "leave other attacks out")
    findings.rows(known & ~np.isin(ids, rows.rules.ids), "a sample id of the protocol", ids)
    for name in rows.rules.attacks:
        here = np.flatnonzero(attack == name)
        found, first = np.unique(ids[here], return_index=True)
        twice = np.ones(len(rows), dtype=bool)
        twice[here[first]] = False
        twice[attack != name] = False
        findings.rows(twice, f"each sample id once for {name}", ids)
        missing = np.setdiff1d(rows.rules.ids, found)
        if len(missing):
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            findings.add("", f"expected sample {missing[0]}{more} for {name}, found no such rows")
    return len(findings.problems) == before


def _classes(rows: Rows, findings: Findings) -> None:
    classes = len(rows.rules.dataset.classes)
    text = f"a class from 0 to {classes - 1} as "
    for name in ("label", "clean_pred"):
        findings.rows((rows[name] < 0) | (rows[name] >= classes), text + name, rows[name])
    judged = rows.measured
    pred = rows["adv_pred"]
    bad = (judged & (rows.null("adv_pred") | (pred < 0))) | (pred >= classes)
    findings.rows(bad, text + "adv_pred", pred)
    findings.rows(~judged & ~rows.null("adv_pred"), "no adv_pred where nothing was measured", pred)
    for name in ("clean_correct", "success", "status", "sample_id", "attack"):
        findings.rows(rows.null(name), f"a value of {name}, found none")


def _statuses(rows: Rows, findings: Findings) -> None:
    status, correct, success = rows["status"], rows["clean_correct"], rows["success"]
    known = np.isin(status, schema.STATUSES)
    findings.rows(~known, f"a status of {', '.join(schema.STATUSES)}", status)
    right = rows["label"] == rows["clean_pred"]
    findings.rows(correct != right, "clean_correct exactly where clean_pred is the label", correct)
    findings.rows((status == "clean_wrong") == correct, "clean_wrong exactly where wrong", status)
    fooled = rows["adv_pred"] != rows["label"]
    claimed = correct & fooled & (status == "ok")
    findings.rows(
        success != claimed,
        "success exactly where clean_correct, status ok and adv_pred is not the label",
        success,
    )
    findings.rows((status == "ok") & ~success, "status ok only with success", status)
    findings.rows(
        (status == "not_fooled") & fooled, "not_fooled only where adv_pred is the label", status
    )
    findings.rows((status == "zero") & (rows["l0"] != 0), "status zero only with norm 0", status)
    findings.rows(
        rows.measured & (rows["l0"] == 0) & (status != "zero"), "status zero with norm 0", status
    )
    started = [name for name, spec in rows.rules.attacks.items() if spec.needs_starts]
    start = (status == "init_failed") & ~np.isin(rows["attack"], started)
    findings.rows(start, "init_failed only for attacks with start points", status)


def _labels(rows: Rows, findings: Findings) -> None:
    """Labels are the data set's, and what belongs to the clean image is the same everywhere."""
    truth = true_labels(rows.rules)
    place, _ = places(rows.rules.ids, rows["sample_id"])
    if truth is not None:
        findings.rows(rows["label"] != truth[place], "the data set's label", rows["label"])
    first = np.full(len(rows.rules.ids), -1, dtype=np.int64)
    first[place[::-1]] = np.arange(len(rows))[::-1]
    reference = first[place]
    moved = rows["label"] != rows["label"][reference]
    findings.rows(moved, "the same label under every attack", rows["label"])
    # another batch may flip a prediction that hangs by a float32 rounding, rarely
    moved = rows["clean_pred"] != rows["clean_pred"][reference]
    if moved.mean() > 0.01:
        findings.rows(moved, "the same clean_pred under every attack", rows["clean_pred"])
    both = rows.measured & rows.measured[reference]
    for name, slack in (("image_rfc", 1e-6), ("grad_rfc", 1e-2)):
        gap = np.abs(rows[name] - rows[name][reference])
        moved = both & (gap > slack)
        if name == "image_rfc" or moved.mean() > 0.01:
            findings.rows(moved, f"the same {name} under every attack", rows[name])


def _missing(rows: Rows, findings: Findings) -> None:
    """What was not measured is null or NaN, never a number; what was measured is there."""
    measured, status = rows.measured, rows["status"]
    spectrum = measured & (status != "zero") & ~(rows["dc_share"] >= 1 - 1e-12)
    for name in SCALARS:
        value = rows[name]
        findings.rows(~measured & ~np.isnan(value), f"no {name} where nothing was measured", value)
        findings.rows(np.isinf(value), f"a finite {name}", value)
        if name in (*SPECTRAL, "dc_share", "kappa_high"):
            findings.rows(spectrum & np.isnan(value), f"a value of {name}, found none")
        elif name not in ("grad_rfc", "image_rfc"):
            findings.rows(measured & np.isnan(value), f"a value of {name}, found none")
    for name in ("radial_energy", "log_luma_profile"):
        gone = np.isnan(rows[name]).all(axis=1)
        findings.rows(~measured & ~gone, f"no {name} where nothing was measured")
        findings.rows(np.isinf(rows[name]).any(axis=1), f"finite values of {name}")
    findings.rows(
        spectrum & np.isnan(rows["radial_energy"]).any(axis=1), "64 values of radial_energy"
    )
    zero = status == "zero"
    for name in ("l1", "l2", "linf"):
        findings.rows(zero & (rows[name] != 0), f"{name} 0 with status zero", rows[name])
    for name in SPECTRAL:
        findings.rows(zero & ~np.isnan(rows[name]), f"no {name} with status zero", rows[name])
    gone = rows.null("zero_grad")
    findings.rows(measured & gone, "a value of zero_grad, found none")
    findings.rows(
        rows["zero_grad"] & ~np.isnan(rows["grad_rfc"]), "no grad_rfc of a gradient that is zero"
    )
