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

from bench.metrics import METRICS, Tolerance

MATERIAL = 10.0
"""So many tolerances off, a row is contradicted; less can't buy a rank and may be honest."""
WANDER = 2.0
"""A column that wanders here by so much from look to look may be off by twice that."""
HONEST_SHARE = 0.01
"""Share of an honest file's rows that may be outside the tolerances on another machine."""

EXACT = ("label", "clean_pred", "clean_correct", "success", "status", "zero_grad")
"""Columns that are the same or contradicted."""
LOOSE = ("adv_pred",)
"""Columns that are the same or off a little: where three classes meet, rounding decides."""
TOLERANCES: Mapping[str, Tolerance] = {metric.name: metric.tolerance for metric in METRICS}
"""Every measured column; `seconds` is no statement about the model."""
COMPARED = (*EXACT, *LOOSE, *TOLERANCES)

Outcome = Literal["reproduced", "unsettled", "contradicted"]

Values = Mapping[str, Any]
"""One row: column -> value; NaN where missing. A column that is not there is not compared."""

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
    return 1 - math.exp(_log_choose(total - forged, chosen) - _log_choose(total, chosen))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


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


def distances(stated: Values, found: Values) -> dict[str, float]:
    """Return how many tolerances two measurements of a row are apart, column by column.

    Infinite where a column allows no difference, or where one of the two is missing.
    """
    result = {}
    for name in COMPARED:
        if name not in stated or name not in found:
            continue
        if name in TOLERANCES:
            result[name] = _distance(stated[name], found[name], TOLERANCES[name])
        elif stated[name] == found[name]:
            result[name] = 0.0
        else:
            result[name] = math.inf if name in EXACT else 2.0
    return result


def _distance(stated: Any, found: Any, tolerance: Tolerance) -> float:
    a, b = (np.atleast_1d(np.asarray(v, dtype=np.float64)) for v in (stated, found))
    if a.shape != b.shape or not np.array_equal(np.isnan(a), np.isnan(b)):
        return math.inf
    there = ~np.isnan(a)
    if not np.isfinite(a[there]).all():
        return math.inf
    limit = tolerance.absolute + tolerance.relative * float(np.abs(a[there]).sum())
    return float(np.abs(a - b)[there].sum()) / max(limit, 1e-15)


def agree(stated: Values, found: Values, tolerances: float = 1.0) -> bool:
    """Return whether two measurements of a row agree within so many tolerances."""
    return all(distance <= tolerances for distance in distances(stated, found).values())


@dataclass(frozen=True)
class Verdict:
    """What came of one row.

    Attributes:
        attack, sample_id: which row.
        outcome: reproduced in some look; contradicted: a column is more than MATERIAL
            tolerances off in every look, and more than WANDER times what this machine's own looks
            differ by; unsettled: anything else.
        stated: the file's values.
        found: this machine's, in the look that is nearest.
    """

    attack: str
    sample_id: int
    outcome: Outcome
    stated: Values
    found: Values

    @property
    def differs(self) -> tuple[str, ...]:
        """The columns outside their tolerance."""
        found = distances(self.stated, self.found)
        return tuple(name for name, distance in found.items() if distance > 1)

    def __str__(self) -> str:
        def show(values: Values) -> str:
            numbers = ", ".join(f"{name} {float(values[name]):.6g}" for name in shown)
            return f"{values['status']}, {numbers}"

        columns = [n for n in self.differs if np.ndim(self.stated[n]) == 0 and n in TOLERANCES]
        shown = list(dict.fromkeys(["l2", "rfc", *columns]))[:6]
        return (
            f"{self.attack}, sample {self.sample_id}: {self.outcome}; the file says "
            f"{show(self.stated)}; found {show(self.found)}; outside the tolerance: "
            f"{', '.join(self.differs) or 'nothing'}"
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
    """Judge column by column: what wanders here from look to look may be off by as much."""
    outcome: Outcome = "reproduced"
    if not any(agree(said, look) for look in looks):
        outcome = "unsettled"
        apart = [distances(said, look) for look in looks]
        spread = [distances(looks[0], look) for look in looks[1:]]
        for name in apart[0]:
            nearest = min(found[name] for found in apart)
            wander = max((found[name] for found in spread), default=0.0)
            if nearest > MATERIAL and nearest > WANDER * wander:
                outcome = "contradicted"

    def worst(look: Values) -> float:
        return max(distances(said, look).values(), default=0.0)

    return Verdict(attack, sample, outcome, said, min(looks, key=worst))


def conclude(
    rows: int, unsettled: int, contradicted: int, others: int = 0
) -> Literal["reproduced", "contradicted"]:
    """Return the verdict on a file.

    One contradicted row is enough, or one of the other things that were compared. Unsettled rows
    are enough if an honest file, of whose rows HONEST_SHARE are outside the tolerances, has so
    many with a probability below .001.
    """
    # P(fewer than that many); in logarithms, as the numbers may be a stranger's and large
    few, k = 0.0, 0
    while k < min(unsettled, rows + 1) and few < 1 - 1e-9:
        log = _log_choose(rows, k) + k * math.log(HONEST_SHARE)
        few += math.exp(log + (rows - k) * math.log1p(-HONEST_SHARE))
        k += 1
    return "contradicted" if contradicted or others or 1 - few < 1e-3 else "reproduced"


def row_values(columns: Mapping[str, npt.NDArray[Any]], place: int) -> Values:
    """Return one row's values.

    Args:
        columns: column name -> (N,) or (N, 64).
        place: index of the row.
    """
    found: dict[str, Any] = {}
    for name in COMPARED:
        if name in columns:
            value = columns[name][place]
            found[name] = value if np.ndim(value) else _plain(name, value)
    return found


def _plain(name: str, value: Any) -> Any:
    if name == "status":
        return str(value)
    return float(value) if name in TOLERANCES else int(value)
