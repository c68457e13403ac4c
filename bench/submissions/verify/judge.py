"""Which rows to measure again, how to compare them, and what that proves.

The rows are drawn from the file's hash and a secret of the verifier: who writes a file can't know
which rows will be looked at, and changing the file changes the choice.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

RFC_TOLERANCE = 1e-3
NORM_TOLERANCE = 1e-3
"""Relative. Design contract, "Invariance": they hold for 99 % of the samples."""
MATERIAL = 10.0
"""So many tolerances off, a row is contradicted; less can't buy a rank and may be honest."""
HONEST_SHARE = 0.01
"""Share of an honest file's rows that may be outside the tolerances on another machine."""

Outcome = Literal["reproduced", "unsettled", "contradicted"]

Values = Mapping[str, Any]
"""One row: status, success, label, clean_pred, norm, rfc."""

Look = Literal["together", "as measured", "alone"]
Measure = Callable[[str, Sequence[int], Look], Mapping[int, Values]]
"""(attack, sample ids, how) -> the rows measured again."""


def choose(
    rows: Sequence[tuple[str, int]], count: int, file_sha256: str, secret: str
) -> list[tuple[str, int]]:
    """Return a random choice of rows.

    Args:
        rows: (attack, sample id) of every row.
        count: how many to choose; all if there are fewer.
        file_sha256: of the file.
        secret: of the verifier.
    """
    digest = hashlib.sha256(f"{file_sha256} {secret}".encode()).digest()
    seed = np.random.SeedSequence(int.from_bytes(digest, "big"))
    raw = np.random.PCG64(seed).random_raw(len(rows))
    order = np.argsort(raw, kind="stable")[:count]
    return sorted(rows[int(i)] for i in order)


def power(total: int, chosen: int, forged_share: float) -> float:
    """Return the probability that at least one forged row is among the chosen.

    Args:
        total: rows of the file.
        chosen: rows that are measured again.
        forged_share: share of forged rows, in [0, 1].
    """
    forged = math.ceil(total * forged_share - 1e-9)
    if forged <= 0:
        return 0.0
    if chosen > total - forged:
        return 1.0

    def log_choose(n: int, k: int) -> float:
        return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)

    return 1 - math.exp(log_choose(total - forged, chosen) - log_choose(total, chosen))


def power_statement(total: int, chosen: int) -> str:
    """Return what a verification with no contradiction proves, in one sentence."""
    parts = [
        f"{share:.0%} of the rows is caught with probability {power(total, chosen, share):.3f}"
        for share in (0.01, 0.05, 0.25)
    ]
    return (
        f"{chosen} of {total} rows: a forger of {parts[0]}, of {parts[1]}, of {parts[2]} "
        "(a forged row is one that measuring again does not reproduce)"
    )


def agree(stated: Values, found: Values, tolerances: float = 1.0) -> bool:
    """Return whether two measurements of a row agree within so many tolerances."""
    if any(stated[name] != found[name] for name in ("label", "clean_pred", "success")):
        return False
    for name, relative in (("rfc", False), ("norm", True)):
        a, b = float(stated[name]), float(found[name])
        if math.isnan(a) or math.isnan(b):
            if math.isnan(a) != math.isnan(b):
                return False
            continue
        limit = NORM_TOLERANCE * max(abs(a), 1e-12) if relative else RFC_TOLERANCE
        if abs(a - b) > tolerances * limit:
            return False
    return True


@dataclass(frozen=True)
class Verdict:
    """What came of one row.

    Attributes:
        attack, sample_id: which row.
        outcome: reproduced in some look; unsettled: off by less than MATERIAL tolerances, or
            this machine's own looks differ as much; contradicted: anything else.
        stated: the file's values.
        found: this machine's.
    """

    attack: str
    sample_id: int
    outcome: Outcome
    stated: Values
    found: Values

    def __str__(self) -> str:
        def show(values: Values) -> str:
            numbers = f"norm {float(values['norm']):.6g}, rfc {float(values['rfc']):.6g}"
            return f"{values['status']}, {numbers}"

        return (
            f"{self.attack}, sample {self.sample_id}: {self.outcome}; the file says "
            f"{show(self.stated)}; found {show(self.found)}"
        )


def verify_rows(
    stated: Mapping[tuple[str, int], Values], chosen: Sequence[tuple[str, int]], measure: Measure
) -> list[Verdict]:
    """Measure the chosen rows again and compare.

    A row that does not agree is measured twice more, in the batch that the file's maker used and
    alone: float32 kernels differ by batch shape, and some attacks amplify it.

    Args:
        stated: every row of the file.
        chosen: the rows to look at.
        measure: measures rows again.
    """
    verdicts = []
    for attack in sorted({a for a, _ in chosen}):
        ids = [sample for a, sample in chosen if a == attack]
        first = measure(attack, ids, "together")
        for sample in ids:
            said = stated[attack, sample]
            looks = [first[sample]]
            if not agree(said, looks[0]):
                for how in ("as measured", "alone"):
                    looks.append(measure(attack, [sample], how)[sample])
            verdicts.append(_judge(attack, sample, said, looks))
    return verdicts


def _judge(attack: str, sample: int, said: Values, looks: Sequence[Values]) -> Verdict:
    outcome: Outcome = "contradicted"
    if any(agree(said, look) for look in looks):
        outcome = "reproduced"
    elif any(agree(said, look, MATERIAL) for look in looks) or not all(
        agree(looks[0], look, MATERIAL) for look in looks[1:]
    ):
        outcome = "unsettled"
    return Verdict(attack, sample, outcome, said, looks[0])


def conclude(rows: int, unsettled: int, contradicted: int) -> Literal["reproduced", "contradicted"]:
    """Return the verdict on a file.

    One contradicted row is enough. Unsettled rows are enough if an honest file, of whose rows
    HONEST_SHARE are outside the tolerances, has so many with a probability below .001.
    """
    few = sum(
        math.comb(rows, k) * HONEST_SHARE**k * (1 - HONEST_SHARE) ** (rows - k)
        for k in range(unsettled)
    )
    return "contradicted" if contradicted or 1 - few < 1e-3 else "reproduced"


def row_values(columns: Mapping[str, npt.NDArray[Any]], place: int, norm: str) -> Values:
    """Return one row's values from columns.

    Args:
        columns: status, success, label, clean_pred, rfc and the norms.
        place: index of the row.
        norm: name of the attack's norm.
    """
    return {
        "status": str(columns["status"][place]),
        "success": bool(columns["success"][place]),
        "label": int(columns["label"][place]),
        "clean_pred": int(columns["clean_pred"][place]),
        "norm": float(columns[norm][place]),
        "rfc": float(columns["rfc"][place]),
    }
