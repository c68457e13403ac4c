"""Two results on the same samples: paired differences with intervals, and the overlay plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.board.spectra import profiles, rings
from bench.entries.ids import places
from bench.errors import BenchError, unknown_name
from bench.figures.profiles import Overlay
from bench.metrics import METRICS, readable
from bench.results.columns import read_columns
from bench.results.read import Submission, is_result, open_submission
from bench.stats.intervals import Interval, mean_interval, paired_difference

Array = npt.NDArray[Any]

QUANTITIES = tuple(m.name for m in METRICS if m.length is None)


@dataclass(frozen=True)
class Difference:
    """One quantity under one attack, first minus second.

    Attributes:
        attack, quantity: what is compared; "success" is over the common clean-correct samples,
            everything else over the common kept ones.
        n: number of common samples.
        first, second: means over these samples.
        difference: mean difference with its 95 % interval.
    """

    attack: str
    quantity: str
    n: int
    first: float
    second: float
    difference: Interval

    @property
    def separable(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.difference.low > 0 or self.difference.high < 0


def resolve(name: str, folders: Sequence[Path]) -> Path:
    """Return the file of a result: a path as it stands, or a model's only result in the folders.

    Raises:
        BenchError: no such result, or several.
    """
    if name.endswith(".parquet"):
        if Path(name).is_file():
            return Path(name)
        raise BenchError(f"expected a result at {name}, found no file; check the path")
    for folder in folders:
        known = [path for path in sorted(folder.glob("*/*/*.parquet")) if is_result(path)]
        found = [path for path in known if path.stem == name]
        if len(found) > 1:
            places = ", ".join(str(path) for path in found)
            raise BenchError(f"expected one result of {name!r}, found {places}; name the file")
        if found:
            return found[0]
    everything = {p.stem for f in folders for p in f.glob("*/*/*.parquet") if is_result(p)}
    raise unknown_name("result", name, everything)


def open_pair(first: Path, second: Path) -> tuple[Submission, Submission]:
    """Open two results that may be compared.

    Raises:
        BenchError: another protocol, data set or input size.
    """
    opened = []
    for path in (first, second):
        opened.append(open_submission(path))
    a, b = opened
    if a.key != b.key:
        raise BenchError(
            f"expected two results of one data set, protocol hash and input size, found "
            f"{_shown(a)} in {first} and {_shown(b)} in {second}; they can't be compared"
        )
    return a, b


def _shown(submission: Submission) -> str:
    dataset, protocol, digest, height, width = submission.key
    return f"{dataset}, {protocol} {digest[:12]}, {height} x {width}"


def compare(first: Submission, second: Submission) -> list[Difference]:
    """Return every quantity under every attack that both have, paired by sample."""
    rules = first.rules
    seed = rules.protocol.seed
    found = []
    of_first, of_second = _by_attack(first), _by_attack(second)
    for attack in rules.attacks:
        a, b = of_first[attack], of_second[attack]
        both = a["clean_correct"] & b["clean_correct"]
        if both.any():
            found.append(_difference(attack, "success", a["success"], b["success"], both, seed))
        kept = a["success"] & b["success"]
        for name in (q for q in QUANTITIES if q in a and q in b):
            usable = kept & ~np.isnan(a[name]) & ~np.isnan(b[name])
            if usable.any():
                found.append(_difference(attack, name, a[name], b[name], usable, seed))
    return found


def _by_attack(submission: Submission) -> dict[str, dict[str, Array]]:
    """Attack -> its columns in the order of the protocol's ids, NaN or False where missing."""
    flags, ids = ("clean_correct", "success"), submission.rules.ids
    stated = {m.name for m in readable(submission.metadata.metrics)}
    there = [name for name in QUANTITIES if name in stated]
    rows = read_columns(submission.path, ["attack", "sample_id", *flags, *there])
    place, known = places(ids, rows["sample_id"])
    found: dict[str, dict[str, Array]] = {}
    for attack in submission.rules.attacks:
        here = known & (rows["attack"] == attack)
        found[attack] = {name: np.full(len(ids), np.nan) for name in QUANTITIES}
        for name in (*flags, *there):
            values = np.full(len(ids), False if name in flags else np.nan)
            values[place[here]] = rows[name][here]
            found[attack][name] = values
    return found


def _difference(attack: str, name: str, a: Array, b: Array, kept: Array, seed: int) -> Difference:
    a, b = a.astype(np.float64), b.astype(np.float64)
    difference, n = paired_difference(a, kept, b, kept, seed)
    means = [mean_interval(values, kept, seed).mean for values in (a, b)]
    return Difference(attack, name, n, means[0], means[1], difference)


def overlay(first: Submission, second: Submission) -> Overlay:
    """Return the drawing of both radial profiles with their bands, a panel for each attack."""
    attacks = list(first.rules.attacks)
    models = [(each.name, profiles(each, attacks)) for each in (first, second)]
    return Overlay(rings(*first.input_shape[1:]).radius, attacks, models)
