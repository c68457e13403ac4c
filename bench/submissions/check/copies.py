"""One model under two names: equal weights, or rows that are the same for most samples.

Weights are compared by their hashes, which a renamed tensor changes; so rows are compared too. Two
different models agree within the tolerances on hardly any sample; added noise must be larger than
the tolerances to hide a copy, and then `bench verify` contradicts it.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.submissions.check.places import Place
from bench.submissions.check.problems import Findings, Problem
from bench.submissions.check.rows import Rows

_SHA256 = re.compile(r"^[0-9a-f]{64}$")

NEAR = 1e-3
"""Of the RFC, and as a share of the norm: what counts as the same row."""
SHARE = 0.2
"""From this share of equal rows on, it is a copy; two of the nets of the paper share none."""
FEWEST = 20
"""Rows that must be comparable."""
REMEDY = "submit a model once, under one name"

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Sketch:
    """What tells a submission from a copy of it.

    Attributes:
        file: path of the result.
        table: protocol and data set; only rows of one table are compared.
        name: of the result.
        hashes: of its weights, none for a control.
        rows: (2, n) norm and RFC under the primary attack, in the protocol's order of ids.
    """

    file: str
    table: str
    name: str
    hashes: tuple[str, ...]
    rows: Array = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON can say it."""
        rows = b64encode(self.rows.astype("<f4").tobytes()).decode()
        return {**{k: v for k, v in vars(self).items() if k != "rows"}, "rows": rows}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Sketch:
        """Return what :meth:`to_json` was made of."""
        rows = np.frombuffer(b64decode(data["rows"]), dtype="<f4").reshape(2, -1)
        hashes = tuple(data["hashes"])
        return Sketch(data["file"], data["table"], data["name"], hashes, rows)


def sketch(place: Place, rows: Rows, meta: Mapping[str, Any]) -> Sketch:
    """Return the sketch of a result whose ids are known to be the protocol's."""
    weights = meta.get("weights")
    hashes: list[object] = [meta.get("weights_sha256")]
    if isinstance(weights, dict):
        hashes += [weights.get("file_sha256"), weights.get("state_dict_sha256")]
    control = "@random" in place.name
    known = {h for h in hashes if isinstance(h, str) and _SHA256.match(h) and not control}
    ids, here = np.asarray(rows.rules.ids), rows.of(rows.rules.primary)
    norm = rows[rows.rules.attacks[rows.rules.primary].norm][here]
    values = np.full((2, len(ids)), np.nan, dtype=np.float32)
    order = np.argsort(ids)
    where = order[np.searchsorted(ids, rows["sample_id"][here], sorter=order)]
    values[:, where] = np.stack([norm, rows["rfc"][here]])
    table = f"{place.protocol}/{place.dataset}"
    return Sketch(str(place.path), table, place.name, tuple(sorted(known)), values)


def copies(found: Sequence[Sketch], base: Sequence[Sketch] = ()) -> Iterator[Problem]:
    """Yield a problem for each submission that is another one, or one of the base, again.

    Args:
        found: the submissions that are checked.
        base: submissions that are no longer among them as they were.
    """
    everyone = [*base, *found]
    for number, one in enumerate(found):
        for other in everyone[: len(base) + number]:
            if other.name == one.name:
                continue
            same = sorted(set(one.hashes) & set(other.hashes))
            share = equal_share(one, other) if other.table == one.table else 0.0
            findings = Findings(one.file)
            if same:
                text = f"expected other weights than those of {other.name}, found the same "
                findings.add("", f"{text}({same[0][:16]}...)", REMEDY)
            if share > SHARE:
                text = f"expected other rows than those of {other.name}, found the same norm and "
                findings.add("", f"{text}RFC for {share:.0%} of the samples", REMEDY)
            yield from findings.problems


def equal_share(one: Sketch, other: Sketch) -> float:
    """Return the share of samples that both have and that are the same within NEAR; else 0."""
    if one.rows.shape != other.rows.shape:
        return 0.0
    both = ~(np.isnan(one.rows) | np.isnan(other.rows)).any(axis=0)
    if both.sum() < FEWEST:
        return 0.0
    (a, r), (b, s) = one.rows[:, both], other.rows[:, both]
    with np.errstate(all="ignore"):
        same = (np.abs(a - b) <= NEAR * np.abs(b)) & (np.abs(r - s) <= NEAR)
    return float(same.mean())


def equal_entries(hashes: Mapping[str, str]) -> Iterator[Problem]:
    """Yield a problem for each entry that names another one's weights.

    Args:
        hashes: entry's file -> SHA-256 of its weights file.
    """
    first: dict[str, str] = {}
    for file, digest in hashes.items():
        other = first.setdefault(digest, file)
        if other != file:
            findings = Findings(file)
            text = f"expected other weights than those of {other}, found the same"
            findings.add("weights.sha256", f"{text} ({digest[:16]}...)", REMEDY)
            yield from findings.problems
