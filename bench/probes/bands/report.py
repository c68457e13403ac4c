"""Bands in words and pictures: distances relative to all frequencies and to random directions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.figures.bands import Curve, Drawn
from bench.grid import BANDS
from bench.probes.bands.probe import ALL, DC, Bands, number_of
from bench.probes.report import Part, Report
from bench.probes.tables import (
    Floats,
    Subject,
    geometric,
    measured,
    percent,
    share,
    shown,
)
from bench.stats.intervals import Interval, mean_interval

WIDTH = math.sqrt(2) / BANDS
OUT = 2.0**7
"""Times its start that a ray is followed: a boundary farther out counts as so far."""
CONTROLS = ("pink", "sign", "image")
STRICT = 1e-5
"""Share of energy outside the band up to which a perturbation counts as kept to it strictly."""


@dataclass(frozen=True)
class Band:
    """What was found in one band of one model; intervals over samples, geometric means."""

    part: str
    dims: int
    n: int
    fooled: tuple[int, int]
    stationary: tuple[int, int]
    over_all: Interval
    white: float
    """distance / that of all frequencies, if the gradient were white: sqrt(D / dims)."""
    predicted: Interval
    """The same from the gradient at the clean image alone: 1 / sqrt(its share in the band)."""
    over_random: Interval
    controls: dict[str, Interval]
    distance: Interval
    pgd: tuple[tuple[int, int], ...]
    within: tuple[tuple[int, int], ...]
    """Of the same samples, those whose distance is within each budget of PGD."""
    leak: float
    """Largest share of energy outside the band, without bounds: rounding."""
    clip_over_all: Interval
    clip_leak: Interval
    clip_fooled: tuple[int, int]
    clip_stationary: tuple[int, int]
    inside: tuple[int, int]
    inside_leak: float


def band(probe: Bands, one: Subject, part: str) -> Band:
    """Return what was found in one band."""
    c, whole, seed = one.parts[part], one.parts[ALL], one.seed
    kept = measured(c) & measured(whole)
    total = float(np.nanmax(whole["dims"])) if kept.any() else math.nan
    dims = float(np.nanmax(c["dims"])) if kept.any() else math.nan
    distance = c["distance"]
    with np.errstate(invalid="ignore", divide="ignore"):
        over_all, n = geometric(distance / whole["distance"], kept, seed)
        clip_over = geometric(c["clip_l2"] / whole["distance"], kept, seed)[0]
        predicted = geometric(1 / np.sqrt(c["gradient_share"]), kept, seed)[0]
        random = geometric(distance / _far(np.median(c["white"], axis=1), distance), kept, seed)[0]
        held = {
            name: geometric(distance / _far(c[name], distance), kept, seed)[0] for name in CONTROLS
        }
    strict = (c["inside_fooled"] > 0) & (c["inside_leak"] <= STRICT)
    return Band(
        part=part,
        dims=0 if math.isnan(dims) else int(dims),
        n=n,
        fooled=share(c["fooled"], kept),
        stationary=share(c["stationary"], kept),
        over_all=over_all,
        white=math.sqrt(total / dims) if dims else math.nan,
        predicted=predicted,
        over_random=random,
        controls=held,
        distance=geometric(distance, kept, seed)[0],
        pgd=tuple(share(column, kept) for column in c["pgd"].T),
        within=tuple(share(distance <= budget, kept) for budget in probe.budgets),
        leak=_largest(c["leak"]),
        clip_over_all=clip_over,
        clip_leak=mean_interval(c["clip_leak"], kept, seed),
        clip_fooled=share(c["clip_fooled"], kept),
        clip_stationary=share(c["clip_stationary"], kept),
        inside=share(np.where(np.isnan(c["inside_fooled"]), np.nan, strict), kept),
        inside_leak=_largest(np.where(strict, c["inside_leak"], np.nan)),
    )


def _far(ray: Floats, start: Floats) -> Floats:
    """A boundary that was not met on the way counts as so far as the way went."""
    result: Floats = np.where(np.isinf(ray), OUT * start, ray)
    return result


def _largest(values: Floats) -> float:
    return float(np.nanmax(values)) if np.isfinite(values).any() else math.nan


def bands(probe: Bands, one: Subject) -> list[Band]:
    """Return all bands of a model, DC first."""
    return [band(probe, one, part) for part in one.parts if part != ALL]


def radii(part: str) -> tuple[float, float]:
    """Return the radii that a band lies between; DC: 0 and 0."""
    number = number_of(part) or 0
    return (0.0, 0.0) if part == DC else ((number - 1) * WIDTH, number * WIDTH)


def report(probe: Bands, subjects: Sequence[Subject]) -> Report:
    """Return tables and figure of some models."""
    parts, curves = [], []
    for one in subjects:
        found = [bands(probe, each) for each in one.both()]
        parts += _parts(probe, one, found)
        curves += [
            Curve(
                name=each.name,
                family=str(each.metadata["family"]),
                linear=bool(each.metadata["affine"]),
                control=bool(each.metadata["control"]),
                x=[sum(radii(b.part)) / 2 for b in rows if b.part != DC],
                over_all=[b.over_all for b in rows if b.part != DC],
                over_random=[b.over_random for b in rows if b.part != DC],
                clipped=[b.clip_over_all for b in rows if b.part != DC],
                leak=[b.clip_leak for b in rows if b.part != DC],
            )
            for each, rows in zip(one.both(), found, strict=True)
        ]
    first = bands(probe, subjects[0])
    white = [b.white for b in first if b.part != DC]
    drawing = Drawn(curves, white, WIDTH)
    brief = [_brief(probe, one) for one in subjects]
    return Report("Minimal L2 distance by band", parts, drawing, FIGURE, (), brief, BRIEF)


FIGURE = (
    "Minimal L2 distance in each of 8 annuli, geometric means with 95 % bootstrap intervals over "
    "images. Left: over that of all frequencies, without bounds of the images; dashed: a net whose "
    "gradients are white. Middle: over that of random directions of the same band. Right: share of "
    "energy that [0, 1] moves out of the band. Dotted, crosses: the untrained twin."
)
BRIEF = (
    "Smallest L2 distance to another class with the perturbation held to an annulus of the "
    "spectrum, without the bounds of [0, 1], over that with all frequencies; geometric means, 95 % "
    "bootstrap intervals. A net with white gradients would be nearest where there are most "
    "frequencies, at .71-.88 or above. leak: most that [0, 1] moves out of a band, if its "
    "perturbations are clipped."
)
READING = (
    "d: minimal L2 distance with the perturbation held to the band, without the bounds of [0, 1]; "
    "geometric means over the n samples that are fooled, with 95 % bootstrap intervals over "
    "images. white: d / d(all) of a net whose gradients are white, sqrt(D / dims). predicted: from "
    "the share of the gradient at the clean image. d / random: over the median of "
    "random directions of the band (a boundary beyond 128 d counts as there). A search that did "
    "not end stationary is an upper bound; no walk polishes it."
)
BOX = (
    "The box [0, 1]. PGD: share fooled at an L2 budget in the band, and of the same samples the "
    "share whose d is within it (never less, if d is the minimum). clipped: the perturbation of "
    "the band that fools after clipping to [0, 1], its actual L2 norm over d(all), and the share "
    "of its energy that clipping moves out of the band; it is an upper bound, and not a "
    "perturbation of the band. inside: share of samples for which one was found that keeps band "
    "and box strictly (1e-5 of its energy may be outside the band), with the largest such share."
)
CONTROL = (
    "Controls: d over the distance along 1/f noise, the sign of white noise and the clean image "
    "itself (nearer way), each projected to the band; and the untrained twin, attacked from its "
    "own predictions. DC has no 1/f noise."
)


def _brief(probe: Bands, one: Subject) -> dict[str, str]:
    rows = [b for b in bands(probe, one) if b.part != DC]
    near = min(rows, key=lambda b: b.over_all.mean)
    low, high = radii(near.part)
    found = {"Model": one.name, "n": str(near.n), "nearest in r": f"{low:.2f}-{high:.2f}"}
    for b in (rows[0], near, rows[-1]):
        label = {rows[0].part: "lowest band", rows[-1].part: "highest band"}
        found[label.get(b.part, "nearest") if b is not near else "nearest"] = shown(b.over_all)
    other = [] if one.twin is None else [b for b in bands(probe, one.twin) if b.part != DC]
    twin = min(other, key=lambda b: b.over_all.mean).part if other else None
    found["untrained, nearest in r"] = "-" if twin is None else "{:.2f}-{:.2f}".format(*radii(twin))
    found["leak"] = shown(max((b.clip_leak for b in rows), key=lambda leak: leak.mean))
    return found


def _parts(probe: Bands, one: Subject, found: list[list[Band]]) -> list[Part]:
    rows, twin = found[0], (found[1] if len(found) > 1 else None)
    main, box, controls = [], [], []
    for place, b in enumerate(rows):
        other = None if twin is None else twin[place]
        low, high = radii(b.part)
        head = {"band": b.part, "r": "0" if b.part == DC else f"{low:.2f}-{high:.2f}"}
        main.append(
            head
            | {
                "dims": str(b.dims),
                "n": str(b.n),
                "d": shown(b.distance),
                "d / d(all)": shown(b.over_all),
                "white": f"{b.white:.2f}",
                "predicted": shown(b.predicted),
                "d / random": shown(b.over_random, 3),
                "stationary": percent(*b.stationary),
            }
        )
        pairs = zip(probe.budgets, b.pgd, b.within, strict=True)
        budgets = {f"PGD {e:g}": f"{percent(*p)} of {percent(*w)}" for e, p, w in pairs}
        box.append(
            {"band": b.part}
            | budgets
            | {
                "clipped / d(all)": shown(b.clip_over_all),
                "leak": shown(b.clip_leak),
                "stationary": percent(*b.clip_stationary),
                "inside": percent(*b.inside),
                "its leak": "-" if math.isnan(b.inside_leak) else f"{b.inside_leak:.0e}",
            }
        )
        controls.append(
            {"band": b.part}
            | {f"d / {name}": shown(b.controls[name], 3) for name in CONTROLS}
            | ({} if other is None else _twin(other))
        )
    return [
        Part(f"{one.name}: distance by band", main, READING),
        Part(f"{one.name}: through the box", box, BOX),
        Part(f"{one.name}: controls", controls, CONTROL),
    ]


def _twin(b: Band) -> dict[str, str]:
    return {
        "twin n": str(b.n),
        "twin d / d(all)": shown(b.over_all),
        "twin d / random": shown(b.over_random, 3),
        "twin stationary": percent(*b.stationary),
    }
