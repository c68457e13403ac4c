"""Two results on the same samples: paired differences with intervals, and the overlay plot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bench.board.spectra import profiles, rings
from bench.entries.ids import places
from bench.errors import BenchError, unknown_name
from bench.figures.profiles import Overlay
from bench.metrics import METRICS, readable
from bench.results.columns import read_columns
from bench.results.read import Submission, is_result, open_submission
from bench.results.schema import BROKEN
from bench.stats.intervals import Interval
from bench.stats.quantities import simultaneous_differences

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
        difference: mean difference with its interval; all of its family hold together in 95 %
            of cases. None (NaN) below 30 common samples, or if it is the same on all of them.
        separable: whether the two are told apart, all comparisons of its family taken together.
        headline: whether it is of the first family: RFC, norm and success under the primary attack.
    """

    attack: str
    quantity: str
    n: int
    first: float
    second: float
    difference: Interval
    separable: bool
    headline: bool = False


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
    """Return every quantity under every attack that both have, paired by sample.

    What the board is about comes first and is read together: RFC, norm and success under the
    primary attack. All the others follow and are read together: within either family the intervals
    hold simultaneously, and `separable` is what the stepdown tells apart.
    """
    rules = first.rules
    order = sorted(rules.attacks, key=lambda name: name != rules.primary)
    of_first, of_second = _by_attack(first), _by_attack(second)
    pairs = [
        pair for attack in order for pair in _pairs(attack, of_first[attack], of_second[attack])
    ]
    headline = ("rfc", rules.attacks[rules.primary].norm, "success")
    ahead = [p for p in pairs if p.attack == rules.primary and p.quantity in headline]
    ahead.sort(key=lambda pair: headline.index(pair.quantity))
    rest = [p for p in pairs if p.attack != rules.primary or p.quantity not in headline]
    seed = rules.protocol.seed
    return [*_read_together(ahead, seed, headline=True), *_read_together(rest, seed)]


def _read_together(
    pairs: Sequence[_Pair], seed: int, *, headline: bool = False
) -> Iterator[Difference]:
    if not pairs:
        return
    kept = np.stack([pair.kept for pair in pairs])
    values = np.stack([[pair.first, pair.second] for pair in pairs])
    intervals, apart = simultaneous_differences(values[:, 0] - values[:, 1], kept, seed)
    for pair, interval, told in zip(pairs, intervals, apart, strict=True):
        yield replace(pair.difference(interval, bool(told)), headline=headline)


class _Pair(NamedTuple):
    """One quantity of both results: (n,) values, and where both are there."""

    attack: str
    quantity: str
    first: Array
    second: Array
    kept: Array

    def difference(self, interval: Interval, told: bool) -> Difference:
        """Return what is shown of it: the same difference on all samples has no interval."""
        a, b = self.first[self.kept].astype(np.float64), self.second[self.kept].astype(np.float64)
        if np.ptp(a - b) == 0:
            interval = Interval(interval.mean, np.nan, np.nan)
        return Difference(
            self.attack, self.quantity, len(a), float(a.mean()), float(b.mean()), interval, told
        )


def _pairs(attack: str, a: Mapping[str, Array], b: Mapping[str, Array]) -> Iterator[_Pair]:
    both = a["clean_correct"] & b["clean_correct"]
    if both.any():
        yield _Pair(attack, "success", a["kept"].astype(float), b["kept"].astype(float), both)
    kept = a["kept"] & b["kept"]
    for name in QUANTITIES:
        usable = kept & ~np.isnan(a[name]) & ~np.isnan(b[name])
        if usable.any():
            yield _Pair(attack, name, a[name], b[name], usable)


def _by_attack(submission: Submission) -> dict[str, dict[str, Array]]:
    """Attack -> its columns in the order of the protocol's ids, NaN or False where missing.

    "kept": fooled by an attack that did its work.
    """
    flags, ids = ("clean_correct", "kept"), submission.rules.ids
    stated = {m.name for m in readable(submission.metadata.metrics)}
    there = [name for name in QUANTITIES if name in stated]
    names = ["attack", "sample_id", "clean_correct", "success", "status", *there]
    rows = read_columns(submission.path, names)
    place, known = places(ids, rows["sample_id"])
    columns = {name: rows[name] for name in ("clean_correct", *there)}
    columns["kept"] = rows["success"] & ~np.isin(rows["status"], BROKEN)
    found: dict[str, dict[str, Array]] = {}
    for attack in submission.rules.attacks:
        here = known & (rows["attack"] == attack)
        found[attack] = {name: np.full(len(ids), np.nan) for name in QUANTITIES}
        for name, column in columns.items():
            values = np.full(len(ids), False if name in flags else np.nan)
            values[place[here]] = column[here]
            found[attack][name] = values
    return found


def overlay(first: Submission, second: Submission) -> Overlay:
    """Return the drawing of both radial profiles with their bands, a panel for each attack."""
    attacks = list(first.rules.attacks)
    models = [(each.name, profiles(each, attacks)) for each in (first, second)]
    return Overlay(rings(*first.input_shape[1:]).radius, attacks, models)
