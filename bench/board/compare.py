"""Two results on the same samples: paired differences with intervals, and the overlay plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.errors import BenchError, unknown_name
from bench.metrics import METRICS, readable
from bench.results.read import Submission, is_result, open_submission
from bench.stats.intervals import Interval, mean_interval, paired_difference

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
    for attack in rules.attacks:
        a, b = (_columns(s, attack) for s in (first, second))
        both = a["clean_correct"] & b["clean_correct"]
        if both.any():
            found.append(_difference(attack, "success", a["success"], b["success"], both, seed))
        kept = a["success"] & b["success"]
        for name in (q for q in QUANTITIES if q in a and q in b):
            usable = kept & ~np.isnan(a[name]) & ~np.isnan(b[name])
            if usable.any():
                found.append(_difference(attack, name, a[name], b[name], usable, seed))
    return found


def _columns(submission: Submission, attack: str) -> dict[str, Array]:
    """One attack's columns in the order of the protocol's ids, NaN or False where missing."""
    stated = {m.name for m in readable(submission.metadata.metrics)}
    names = ["sample_id", "clean_correct", "success", *(q for q in QUANTITIES if q in stated)]
    table = pq.read_table(
        submission.path, columns=names, filters=pc.field("attack") == pa.scalar(attack)
    )
    ids = np.asarray(submission.rules.ids)
    order = np.argsort(ids)
    sample = table["sample_id"].to_numpy()
    place = order[np.searchsorted(ids, sample, sorter=order).clip(max=len(ids) - 1)]
    known = ids[place] == sample
    result: dict[str, Array] = {}
    for name in names[1:]:
        flag = name in ("clean_correct", "success")
        values = pc.fill_null(table[name], False if flag else float("nan")).to_numpy()
        result[name] = np.full(len(ids), False if flag else np.nan)
        result[name][place[known]] = values[known]
    return result


def _difference(attack: str, name: str, a: Array, b: Array, kept: Array, seed: int) -> Difference:
    a, b = a.astype(np.float64), b.astype(np.float64)
    difference, n = paired_difference(a, kept, b, kept, seed)
    means = [mean_interval(values, kept, seed).mean for values in (a, b)]
    return Difference(attack, name, n, means[0], means[1], difference)


def overlay(first: Submission, second: Submission) -> Figure:
    """Draw both radial profiles with their bands, a panel for each attack."""
    from matplotlib.figure import Figure

    from bench.board.spectra import profiles, rings
    from bench.figures.style import plain

    attacks = list(first.rules.attacks)
    radius = rings(*first.input_shape[1:]).radius
    figure = Figure(figsize=(2.5 * len(attacks) + 0.6, 3.1), layout="constrained")
    axes = figure.subplots(1, len(attacks), sharey=True, squeeze=False).ravel()
    for submission, colour in ((first, "#0072B2"), (second, "#D55E00")):
        found = profiles(submission, attacks)
        for axis, attack in zip(axes, attacks, strict=True):
            if attack not in found:
                continue
            profile = found[attack]
            label = plain(submission.name) if attack == attacks[0] else None
            axis.fill_between(radius, profile.low, profile.high, color=colour, alpha=0.25, lw=0)
            axis.plot(radius, profile.mean, color=colour, label=label)
    for axis, attack in zip(axes, attacks, strict=True):
        axis.axhline(1, color="#444444", lw=0.9, ls=(0, (4, 3)))
        axis.set_yscale("log")
        axis.set_title(attack, loc="left")
        axis.set_xlim(0, np.sqrt(2))
        axis.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes[0].set_ylabel("energy per frequency / white noise")
    figure.supxlabel("radial frequency (1 = Nyquist)", fontsize=8.5)
    figure.legend(loc="outside upper center", ncols=2)
    return figure
