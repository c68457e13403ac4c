"""Do the rows say what the protocol asks for, and nothing impossible?

What follows from the definitions is checked: ids, predictions, statuses, what must be missing.
The numbers' own consistency is in :mod:`bench.submissions.check.check_numbers`.
"""

from __future__ import annotations

import numpy as np

from bench.entries.ids import places
from bench.entries.rules import Rules
from bench.metrics import NORMS, Metric, Missing
from bench.results import schema
from bench.submissions.check.places import Place
from bench.submissions.check.problems import Findings, short
from bench.submissions.check.rows import Array, Rows
from bench.submissions.check.truth import true_labels

DRIFT = 2
"""Witness rows that may be off the seeded choice: a clean prediction may hang by a rounding."""


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
    known = np.isin(rows["protocol_hash"], accepted(rows.rules, rows.version))
    text = f"protocol_hash {rows.rules.hash[:16]}..."
    findings.rows(~known, text, rows["protocol_hash"])
    if rows.version > 1:
        hashes = np.array([rows.rules.attack_hashes.get(a, "") for a in rows["attack"]])
        wrong = (rows["attack_hash"] != hashes) & (hashes != "")
        findings.rows(wrong, "the attack_hash of the protocol's attack", rows["attack_hash"])
    for name, value in wanted.items():
        findings.rows(rows[name] != value, f"{name} {short(value, 40)}", rows[name])


def accepted(rules: Rules, version: int) -> tuple[str, ...]:
    """Return the protocol hashes that a file of a version may state: version 1 has earlier ones."""
    return rules.hashes[1:] if version == 1 else rules.hashes[:1]


def _ids(rows: Rows, findings: Findings) -> bool:
    before = len(findings.problems)
    attack, ids = rows["attack"], rows["sample_id"]
    needed = rows.rules.needed(rows.name, rows.version)
    names = [*needed, *rows.rules.witnesses]
    known = np.isin(attack, names)
    text = f"one of the attacks {', '.join(names)}"
    findings.rows(~known, text, attack, "leave other attacks out")
    findings.rows(known & ~np.isin(ids, rows.rules.ids), "a sample id of the protocol", ids)
    for name in names:
        here = np.flatnonzero(attack == name)
        found, first = np.unique(ids[here], return_index=True)
        twice = np.ones(len(rows), dtype=bool)
        twice[here[first]] = False
        twice[attack != name] = False
        findings.rows(twice, f"each sample id once for {name}", ids)
        missing = np.setdiff1d(rows.rules.ids, found)
        if name in rows.rules.witnesses:
            _witness(rows, name, found, findings)
        elif len(missing):
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            findings.add("", f"expected sample {missing[0]}{more} for {name}, found no such rows")
    return len(findings.problems) == before


def _witness(rows: Rows, name: str, found: Array, findings: Findings) -> None:
    """A witness has no row, or those of the first clean-correct ids in the seeded order."""
    rules = rows.rules
    correct = set(rows["sample_id"][rows.of(rules.primary) & rows["clean_correct"]].tolist())
    if rules.witnesses[name].affine_only:
        if len(found) not in (0, len(rules.ids)):
            text = f"expected every sample for {name} or none, found {len(found)}"
            findings.add("", text, "measure it with `bench eval`")
        return
    chosen = rules.protocol.witness_ids(rules.dataset.name, correct)
    if len(set(found.tolist()) ^ set(chosen[: len(found)])) > 2 * DRIFT or (
        len(found) > len(chosen) + DRIFT
    ):
        text = f"expected the first of {len(chosen)} clean-correct samples in the seeded order for "
        findings.add("", f"{text}{name}, found others", "measure it with `bench eval`")


def _classes(rows: Rows, findings: Findings) -> None:
    classes = len(rows.rules.dataset.classes)
    text = f"a class from 0 to {classes - 1} as "
    none = _without_class(rows)
    for name in ("label", "clean_pred"):
        wrong = (rows[name] < 0) | (rows[name] >= classes)
        findings.rows(wrong & ~(none & (name == "clean_pred")), text + name, rows[name])
    given = none & ~rows.null("clean_pred")
    findings.rows(given, "no clean_pred of an image that is nonfinite", rows["clean_pred"])
    judged = rows.measured
    pred = rows["adv_pred"]
    bad = (judged & (rows.null("adv_pred") | (pred < 0))) | (pred >= classes)
    findings.rows(bad, text + "adv_pred", pred)
    findings.rows(~judged & ~rows.null("adv_pred"), "no adv_pred where nothing was measured", pred)
    for name in ("clean_correct", "success", "status", "sample_id", "attack"):
        findings.rows(rows.null(name), f"a value of {name}, found none")


def _without_class(rows: Rows) -> Array:
    """Return which rows are of clean images whose logits were not finite, so that nothing is."""
    found: Array = (rows["status"] == "nonfinite") & ~rows["clean_correct"].astype(bool)
    return found & (rows.version > 1)


def _statuses(rows: Rows, findings: Findings) -> None:
    status, correct, success = rows["status"], rows["clean_correct"], rows["success"]
    allowed = schema.statuses(rows.version)
    findings.rows(~np.isin(status, allowed), f"a status of {', '.join(allowed)}", status)
    right = rows["label"] == rows["clean_pred"]
    findings.rows(correct != right, "clean_correct exactly where clean_pred is the label", correct)
    wrong = (status == "clean_wrong") == correct
    findings.rows(wrong & ~_without_class(rows), "clean_wrong exactly where wrong", status)
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
    named = np.isin(status, ("zero", "stalled"))
    findings.rows(rows.zero & ~named, "status zero with norm 0", status)
    started = [name for name, spec in rows.rules.everything.items() if spec.needs_starts]
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
    for metric in rows.metrics:
        name, value = metric.name, rows[metric.name]
        profile = metric.length is not None
        gone = np.isnan(value).all(axis=1) if profile else np.isnan(value)
        shown = None if profile else value
        findings.rows(~rows.measured & ~gone, f"no {name} where nothing was measured", shown)
        findings.rows(
            rows.must_lack(metric) & rows.measured & ~gone, f"no {name} {_why(metric)}", shown
        )
        infinite = np.isinf(value).any(axis=1) if profile else np.isinf(value)
        findings.rows(
            infinite, f"finite values of {name}" if profile else f"a finite {name}", shown
        )
        holes = np.isnan(value).any(axis=1) if profile and not metric.gaps else gone
        text = (
            f"a value of {name}, found none" if not profile else f"{metric.length} values of {name}"
        )
        findings.rows(rows.must_have(metric) & holes, text)
    for name in NORMS:
        findings.rows(rows.zero & (rows[name] != 0), f"{name} 0 of a zero perturbation", rows[name])
    findings.rows(rows.measured & rows.null("zero_grad"), "a value of zero_grad, found none")


def _why(metric: Metric) -> str:
    zero_gradient = metric.missing is Missing.ZERO_GRADIENT
    return "of a gradient that is zero" if zero_gradient else "with status zero"
