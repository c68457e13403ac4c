"""The bias of nets on planted data: RFC minus the optimum's on the same images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.board.claims.cells import Found, Net
from bench.entries.factors import Factors
from bench.figures.bias import Bias, Series
from bench.figures.style import Drawing
from bench.stats.bootstrap import Floats
from bench.stats.intervals import NOTHING, Interval
from bench.stats.recipes import split_t

LAW = ("image_size", "channels", "slope", "band", "boxed", "data_seed")
"""Factors that the images follow from, with the seed."""
USUAL = {"image_size": 28, "channels": 1, "slope": 2.0, "boxed": False}
"""What they are where a study names none."""


@dataclass(frozen=True)
class Point:
    """A recipe on one law of images.

    Attributes:
        factors: of its cells.
        bias: RFC minus the optimum's, 95 % over seeds and images; no bounds below three seeds.
        own: mean RFC; optimum: that of the optimum, on the same images.
        free: the bias without the box; NaN for nets that are not linear.
        accuracy, best: test accuracy, percent, of the net and of the optimum.
        diverged: seeds that are left out because their training diverged.
        near_chance: seeds that have not found the signal (`Net.learned`).
        seeds: what it is over; ids: images that net and optimum keep, of the seed with the fewest.
    """

    factors: Factors
    bias: Interval
    own: float
    optimum: float
    free: float
    accuracy: float
    best: float
    diverged: int
    near_chance: int
    seeds: int
    ids: int


def points(found: Found) -> list[Point]:
    """Return every recipe that is measured beside its optimum, in the plan's order."""
    optima = {_law(net): net for net in found.nets.values() if net.cell.factors.family == "optimum"}
    recipes: dict[str, list[tuple[Net, Net]]] = {}
    gone: dict[str, int] = {}
    for name, cell in found.planned.items():
        net = found.nets.get(name)
        if net is None or cell.factors.family == "optimum":
            continue
        if net.diverged is not None:
            gone[cell.factors.name] = gone.get(cell.factors.name, 0) + 1
            continue
        optimum = optima.get(_law(net))
        if optimum is not None:
            recipes.setdefault(cell.factors.name, []).append((net, optimum))
    return [_point(pairs, gone.get(name, 0)) for name, pairs in recipes.items()]


def _law(net: Net) -> tuple[object, ...]:
    factors = net.cell.factors
    return (*(getattr(factors, key) for key in LAW), net.cell.seed)


def _point(pairs: Sequence[tuple[Net, Net]], gone: int) -> Point:
    """Return the means over seeds of means over the images that net and optimum keep.

    Every seed has images of its own, so that seeds carry the error of images too: Student's t.
    """
    both = [(net.rows[net.end], optimum.rows[0]) for net, optimum in pairs]
    kept = [a.kept & b.kept for a, b in both]
    used = [i for i, k in enumerate(kept) if k.any()]

    def by_seed(name: str, side: int) -> Floats:
        return np.array([both[i][side].values[name][kept[i]].mean() for i in used])

    own, optimum = by_seed("rfc", 0), by_seed("rfc", 1)
    free = by_seed("free_rfc", 0) - by_seed("free_rfc", 1)
    bias = split_t(np.repeat((own - optimum)[:, None], 2, axis=1)) if used else NOTHING
    if gone:  # those that are left were chosen by what happened to them
        bias = Interval(bias.mean, np.nan, np.nan)
    return Point(
        pairs[0][0].cell.factors,
        bias,
        _mean(own),
        _mean(optimum),
        _mean(free),
        float(np.mean([net.points[net.end]["test_accuracy"] for net, _ in pairs])),
        float(np.mean([best.points[0]["test_accuracy"] for _, best in pairs])),
        gone,
        sum(not net.learned for net, _ in pairs),
        len(used),
        min((int(k.sum()) for k in kept), default=0),
    )


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else float("nan")


def drawing(found: Sequence[Point]) -> Drawing | None:
    """Return the figure of all recipes on gray images of the usual law; None without any."""
    usual = [p for p in found if all(value_of(p, key) == v for key, v in USUAL.items())]
    panels: dict[tuple[str, str], list[Series]] = {}
    kinds = dict.fromkeys(kind(p) for p in usual)
    counts = dict.fromkeys(
        f"{n} images" for n in sorted({p.factors.train_count or 0 for p in usual})
    )
    for point in usual:
        panels.setdefault((kind(point), f"{point.factors.train_count or 0} images"), [])
    for key in panels:
        some = [p for p in usual if (kind(p), f"{p.factors.train_count or 0} images") == key]
        for family in sorted({p.factors.family for p in some}):
            mine = sorted(
                (p for p in some if p.factors.family == family), key=lambda p: p.factors.band or 0
            )
            panels[key].append(
                Series(
                    family,
                    [p.factors.band or 0 for p in mine],
                    [p.bias for p in mine],
                    [p.best - p.accuracy for p in mine],
                )
            )
    return Bias(list(kinds), list(counts), dict(panels)) if panels else None


def value_of(point: Point, key: str) -> object:
    """Return one of USUAL's factors of a point, the usual value if its cells name none."""
    value = getattr(point.factors, key)
    return USUAL[key] if value is None else value


def kind(point: Point) -> str:
    """Return the kind of net and its rate: "ReLU, rate 0.005"."""
    return f"{'ReLU' if point.factors.relu else 'linear'}, rate {point.factors.learning_rate:g}"
