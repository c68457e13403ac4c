"""What the figures of the claims page show: differences by claim, and RFC along training."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bench.board.claims.cells import Found, Net
from bench.board.claims.estimates import Estimate
from bench.board.claims.judge import Judged
from bench.board.claims.pairs import Side, comparisons
from bench.entries.claims import Contrast
from bench.entries.factors import matches
from bench.figures.dynamics import Curve, Dynamics
from bench.figures.forest import Forest, Group, Line
from bench.figures.series import Line as Level
from bench.figures.series import Series
from bench.figures.style import Drawing
from bench.stats.bootstrap import Floats

MOST_LINES = 40
"""Of one contrast in a figure; more are in the table."""


def forest(judged: Judged) -> Drawing | None:
    """Return the figure of a claim; None where nothing of it is measured."""
    groups: list[Group] = []
    smallest = judged.found.study.smallest
    for contrast in dict.fromkeys(e.contrast.name for e in (*judged.estimates, *judged.beside)):
        made = [e for e in (*judged.estimates, *judged.beside) if e.contrast.name == contrast]
        lines = [_line(e) for e in made if not math.isnan(e.own.mean)]
        if lines:
            of = made[0].contrast
            band = 0.0 if of.kind == "agreement" else of.within or smallest
            aside = "" if made[0] in judged.estimates else " (decides nothing)"
            groups.append(Group(of.title + aside, band, lines[:MOST_LINES]))
    if not groups:
        return None
    agreement = all(e.contrast.kind == "agreement" for e in judged.estimates)
    axis = "rank correlation" if agreement else "difference of RFC (1 = Nyquist)"
    return Forest(axis, groups)


def _line(found: Estimate) -> Line:
    return Line(found.label, found.way, found.own, found.together)


def series(found: Found, contrast: Contrast) -> Drawing | None:
    """Return a trend's values along its levels; None where no two of them are measured."""
    whole = contrast.model_copy(update={"levels": (*contrast.aside, *contrast.levels), "aside": ()})
    panels: dict[str, list[Level]] = {}
    for comparison in comparisons(found.study, whole):
        values = [_ends(found, side) for side in comparison.sides]
        if sum(len(each) > 0 for each in values) > 1:
            title, *rest = comparison.words or ("all",)
            panels.setdefault(title, []).append(Level(", ".join(rest) or title, values))
    if not panels:
        return None
    key, names = _levels(whole)
    return Series(key, names, len(contrast.aside), list(panels.items()))


def _levels(contrast: Contrast) -> tuple[str, list[str]]:
    """Return what the levels vary, and the levels' names: the last factor that each one names."""
    last = [list(level.items())[-1] for level in contrast.levels]
    return last[0][0], [str(value) for _, value in last]


def _ends(found: Found, side: Side) -> Floats:
    """Return the mean RFC at the end of training of each seed that has run, (S,)."""
    nets = [found.nets[name] for _, name in sorted(side.cells.items()) if name in found.nets]
    rows = [net.rows[net.end] for net in nets if net.diverged is None and net.end in net.rows]
    return np.array([r.values["rfc"][r.kept].mean() for r in rows if r.kept.any()])


def dynamics(found: Found) -> Drawing | None:
    """Return RFC along training of the shallow nets on the data as they are; None without any."""
    rows = []
    for relu, title in ((False, "linear"), (True, "ReLU")):
        curves = [
            _curve(net)
            for net in found.nets.values()
            if net.cell.factors.relu == relu and _is_plain(net, found) and len(_trained(net)) > 1
        ]
        if curves:
            rows.append((title, curves))
    return Dynamics(rows) if rows else None


def _is_plain(net: Net, found: Found) -> bool:
    f = net.cell.factors
    usual = matches(f, {**found.study.fixed, "relu": f.relu})
    return usual and f.data == "natural"


def _trained(net: Net) -> list[int]:
    return [e for e in sorted(net.rows) if e > 0 and e in net.points]


def _curve(net: Net) -> Curve:
    epochs = _trained(net)

    def points(name: str) -> Floats:
        return np.array([net.points[e][name] for e in epochs])

    def over_kept(name: str, of: Sequence[int]) -> list[Floats]:
        return [net.rows[e].values[name][net.rows[e].kept] for e in of]

    return Curve(
        net.cell.factors.family,
        net.cell.factors.learning_rate,
        points("loss"),
        points("test_accuracy"),
        np.array([np.median(v) if len(v) else np.nan for v in over_kept("l2", epochs)]),
        np.array([v.mean() if len(v) else np.nan for v in over_kept("rfc", epochs)]),
    )
