"""Filters in words and pictures: curves over the cutoff, thirds, and what they decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.figures.filters import Drawn, Panel
from bench.probes.filters.probe import CUTOFFS, IMAGES, THIRDS, Filters
from bench.probes.kinds import ATTACK, NOISES, PERTURBATIONS
from bench.probes.report import Part, Report
from bench.probes.tables import Bools, Floats, Subject, measured, share, shown
from bench.stats.bootstrap import percentile_interval, resample_counts, resampled_means
from bench.stats.intervals import (
    NOTHING,
    Interval,
    mean_interval,
    median_norm_interval,
    proportion_interval,
)

REACH = 4.0
"""Times the minimal perturbation at which a third that fools alone carries the attack."""


@dataclass(frozen=True)
class Found:
    """One part of one model: shares of the n samples, over the cutoffs and by third."""

    n: int
    whole: Interval
    low: list[Interval]
    high: list[Interval]
    only: list[Interval]
    without: list[Interval]
    energy: list[Interval]
    multiple: list[Interval]
    """Medians, of perturbations: how often its third has to be taken to fool alone."""
    reached: list[Interval]
    """Share that the third alone fools at REACH times its part of the minimal perturbation."""
    crossing: Interval
    """Cutoff at which low- and high-passed do equally well."""


def found(one: Subject, part: str) -> Found:
    """Return what was found in one part of a model."""
    return one.once(part, lambda: _found(one, part))


def _found(one: Subject, part: str) -> Found:
    c, seed = one.parts[part], one.seed
    kept = measured(c)
    return Found(
        n=int(kept.sum()),
        whole=proportion_interval(*share(c["whole"], kept)),
        low=_shares(c["low"], kept),
        high=_shares(c["high"], kept),
        only=_shares(c["only"], kept),
        without=_shares(c["without"], kept),
        energy=[mean_interval(column, kept, seed) for column in c["share"].T],
        multiple=[_median(t, kept) for t in c["multiple"].T],
        reached=_shares(np.where(np.isnan(c["multiple"]), np.nan, c["multiple"] <= REACH), kept),
        crossing=crossing(c["low"], c["high"], kept, seed),
    )


def _median(values: Floats, kept: Bools) -> Interval:
    return median_norm_interval(values, np.isfinite(values), kept & ~np.isnan(values))


def _shares(flags: Floats, kept: Bools) -> list[Interval]:
    return [proportion_interval(*share(column, kept)) for column in flags.T]


def crossing(low: Floats, high: Floats, kept: Bools, seed: int) -> Interval:
    """Return the cutoff where the low- and the high-passed do equally well, with an interval.

    Linear between the cutoffs, of which the first with low >= high counts; samples are resampled.

    Args:
        low, high: (N, L) of 0 and 1, over CUTOFFS.
        kept: (N,) bool.
        seed: of the resamples.

    Returns:
        NaN where they do not cross.
    """
    if np.sum(kept) < 2:
        return NOTHING
    mask = np.asarray(kept, dtype=bool)
    values = np.where(mask[:, None], low - high, 0.0).T
    mean, resampled = resampled_means(values, mask, resample_counts(len(mask), seed))
    points = np.array([_zero(column) for column in np.asarray(resampled).T])
    bounds = percentile_interval(points)
    return Interval(_zero(mean), float(bounds[0]), float(bounds[1]))


def _zero(values: Floats) -> float:
    above = np.flatnonzero(values >= 0)
    if len(above) == 0 or above[0] == 0:
        return float("nan")
    k = int(above[0])
    before, after = float(values[k - 1]), float(values[k])
    return CUTOFFS[k - 1] + (CUTOFFS[k] - CUTOFFS[k - 1]) * before / (before - after)


def carrying(attack: Found, white: Found) -> dict[str, float]:
    """Return the thirds that alone fool clearly more often than white noise's, and how often.

    At REACH times the minimal perturbation; a third counts where its interval lies above that of
    the same third of white noise.
    """
    pairs = zip(attack.reached, white.reached, THIRDS, strict=True)
    return {name: f.mean for f, w, name in pairs if f.low > w.high}


def carriers(attack: Found, white: Found) -> str:
    """Return in words what `carrying` finds, most often first."""
    shares = [(mean, name) for name, mean in carrying(attack, white).items()]
    return ", ".join(f"{name} {100 * mean:.0f} %" for mean, name in sorted(shares, reverse=True))


def verdict(subjects: Sequence[Subject]) -> str:
    """Return in words what the measured nets say of the claim, a sentence for each type of net.

    Their untrained twins are counted too: what they do is no doing of training.
    """
    said = []
    for kind, claimed in CLAIMED.items():
        nets = [one for one in subjects if _type(one) == kind]
        if not nets:
            said.append(f"{kind} (claimed: {' and '.join(claimed)}): no net, nothing is decided")
            continue
        right, counts = _agree(nets, claimed)
        word = "refuted" if right == 0 else "confirmed" if right == len(nets) else "undecided"
        n = sorted(found(one, ATTACK).n for one in nets)
        images = f"{n[0]}" if n[0] == n[-1] else f"{n[0]} to {n[-1]}"
        text = f"{kind} (claimed: {' and '.join(claimed)}): {word}, {right} of {len(nets)} nets "
        text += f"as claimed ({images} images each; a third carries: {counts})"
        twins = [one.twin for one in nets if one.twin is not None]
        if twins:
            right, counts = _agree(twins, claimed)
            text += f"; untrained: {right} of {len(twins)} as claimed ({counts})"
        said.append(text)
    return f"On the nets of this table. {'. '.join(said)}."


def _agree(nets: Sequence[Subject], claimed: Sequence[str]) -> tuple[int, str]:
    """Return how many nets are as claimed, and of how many each third carries the attack."""
    some = [set(carrying(found(one, ATTACK), found(one, NOISES[0]))) for one in nets]
    counts = ", ".join(f"{name} in {sum(name in one for one in some)}" for name in THIRDS)
    return sum(one == set(claimed) for one in some), counts


def _type(one: Subject) -> str:
    return str(one.metadata["type"])


def report(probe: Filters, subjects: Sequence[Subject]) -> Report:
    """Return tables and figure of some models."""
    parts, panels = [], []
    for one in subjects:
        rows, whole = [], []
        for each in one.both():
            by_part = {part: found(each, part) for part in (IMAGES, *PERTURBATIONS)}
            rows += [_row(each, part, f) for part, f in by_part.items()]
            whole.append(by_part)
            panels.append(_panel(each, by_part))
        decided = carriers(whole[0][ATTACK], whole[0][NOISES[0]]) or "none"
        notes = READING.format(factor=probe.factor, decided=decided, reach=REACH)
        parts.append(Part(f"{one.name}: filtered images and perturbations", rows, notes))
    claim = _claim(subjects)
    together = [claim] if len(subjects) > 1 else []
    title = "Filtered images and perturbations"
    return Report(title, parts, Drawn(panels), FIGURE, together, claim.rows, claim.notes)


FIGURE = (
    "Left: share of images classified correctly after a low-pass (solid) or high-pass (dashed) "
    "filter, over the cutoff. Right: success of the attack's low- and high-passed perturbations, "
    "at twice their minimal length; gray: white noise of the same norm. Nothing is clipped; the "
    "masks are exactly complementary. 95 % Wilson intervals. Below: the untrained twin."
)
READING = (
    "images: share with the right class (an untrained twin: its own class of the unfiltered "
    "image); other rows: share of the n fooled by the perturbation at {factor:g} times its minimal "
    "length, or by a control of that norm. low, middle, high: that third of the radius alone (cut "
    "at r .47 and .94, DC is low), with the share of energy in it in parentheses; without: all but "
    "it; x low and so on: how often that third of the minimal perturbation has to be taken to fool "
    "alone (median; of an affine net one over its share of the margin, so that at twice the length "
    "only a third with half of it fools). crossing: cutoff at which low- and high-passed do "
    "equally well. 95 % intervals (Wilson; medians: order statistics; crossing: bootstrap over "
    "images). Nothing is clipped. Thirds that alone fool clearly more often than the same third "
    "of white noise, at {reach:g} times the minimal perturbation: {decided}."
)
CLAIM = (
    "The claim of Chen et al. 2025: middle and high frequencies carry the attack on convolutional "
    "nets, low and middle ones that on transformers. A third of the radius carries if, at 4 times "
    "the minimal perturbation, it alone fools clearly more often than the same third of white "
    "noise (intervals apart); low, middle, high: that share. A net is as claimed if both thirds "
    "that are claimed carry, and the other one does not."
)
CLAIMED = {"Convolutional": ("middle", "high"), "ViT": ("low", "middle")}
"""Type of net -> the thirds that carry the attack, in the claim of Chen et al. 2025."""


def _row(one: Subject, part: str, f: Found) -> dict[str, str]:
    def of(third: int) -> str:
        return f"{shown(f.only[third])} ({f.energy[third].mean:.2f})"

    return {
        "model": one.name,
        "what": part,
        "n": str(f.n),
        "unfiltered": shown(f.whole),
        **{name: of(place) for place, name in enumerate(THIRDS)},
        **{f"x {name}": shown(f.multiple[place], 1) for place, name in enumerate(THIRDS)},
        **{f"without {name}": shown(f.without[place]) for place, name in enumerate(THIRDS)},
        "crossing r": shown(f.crossing),
    }


def _panel(one: Subject, by_part: dict[str, Found]) -> Panel:
    images, attack, white = by_part[IMAGES], by_part[ATTACK], by_part[NOISES[0]]
    return Panel(
        one.name, CUTOFFS, images.low, images.high, attack.low, attack.high, white.low, white.high
    )


def _claim(subjects: Sequence[Subject]) -> Part:
    rows = []
    for one in subjects:
        attack, white = found(one, ATTACK), found(one, NOISES[0])
        rows.append(
            {
                "model": one.name,
                "type": _type(one),
                "n": str(attack.n),
                **{name: shown(attack.reached[k]) for k, name in enumerate(THIRDS)},
                **{f"x {name}": shown(attack.multiple[k], 1) for k, name in enumerate(THIRDS)},
                "crossing r": shown(attack.crossing),
                "carried by": carriers(attack, white) or "none",
            }
        )
    notes = f"{CLAIM} {verdict(subjects)}"
    return Part("Which frequencies carry the attack", rows, notes)
