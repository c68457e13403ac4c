"""Gradient against attack in words and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.figures.gradient import Drawn, Panel
from bench.grid import white_noise
from bench.probes.gradient.probe import LOSS, MARGIN, SAMPLES, Gradient
from bench.probes.kinds import ATTACK, IMAGE, NOISES
from bench.probes.report import Part, Report
from bench.probes.tables import Bools, Floats, Subject, measured, shown
from bench.stats.correlation import rank_correlations
from bench.stats.intervals import Interval, mean_interval

BESIDE = (LOSS, MARGIN, IMAGE, *NOISES)
"""What the perturbation's centroid is correlated with."""


@dataclass(frozen=True)
class Found:
    """One model; means and correlations over its n samples, with intervals."""

    n: int
    rfc: dict[str, Interval]
    rho: dict[str, Interval]
    """Spearman's, of the perturbation's centroid with that of each of BESIDE."""
    difference: Interval
    """Centroid of the perturbation minus that of the margin's gradient, paired."""
    cos: dict[str, Interval]
    overlap: dict[str, Interval]
    profiles: dict[str, list[Interval]]


def found(one: Subject) -> Found:
    """Return what was found of a model."""
    c, seed = one.parts[SAMPLES], one.seed
    kept = kept_of(one)

    def mean(name: str) -> Interval:
        return mean_interval(c[name], kept, seed)

    names = (ATTACK, *BESIDE)
    return Found(
        n=int(kept.sum()),
        rfc={name: mean(f"{name}_rfc") for name in names},
        rho={name: _rho(c[f"{ATTACK}_rfc"], c[f"{name}_rfc"], kept, seed) for name in BESIDE},
        difference=mean_interval(c[f"{ATTACK}_rfc"] - c[f"{MARGIN}_rfc"], kept, seed),
        cos={name: mean(f"cos_{name}") for name in (LOSS, MARGIN)},
        overlap={name: mean(f"overlap_{name}") for name in (LOSS, MARGIN, "white")},
        profiles={
            name: [mean_interval(column, kept, seed) for column in c[f"{name}_bands"].T]
            for name in (LOSS, MARGIN, ATTACK, IMAGE)
        },
    )


def kept_of(one: Subject) -> Bools:
    """Return which samples were measured and fooled, (N,)."""
    c = one.parts[SAMPLES]
    result: Bools = measured(c) & ~np.isnan(c[f"{ATTACK}_rfc"])
    return result


def _rho(x: Floats, y: Floats, kept: Bools, seed: int) -> Interval:
    return rank_correlations(np.where(kept, x, np.nan), y, seed).spearman


def report(probe: Gradient, subjects: Sequence[Subject]) -> Report:
    """Return tables and figure of some models."""
    parts, panels = [], []
    for one in subjects:
        both = [(each, found(each)) for each in one.both()]
        height, width = one.shape[1:]
        note = READING.format(white=white_noise(height, width)["rfc"])
        parts.append(Part(f"{one.name}: gradient and attack", [_row(e, f) for e, f in both], note))
        for each, f in both:
            c, kept = each.parts[SAMPLES], kept_of(each)
            panels.append(
                Panel(
                    each.name,
                    c[f"{MARGIN}_rfc"][kept],
                    c[f"{ATTACK}_rfc"][kept],
                    f.rho[MARGIN],
                    {name: f.profiles[name] for name in (MARGIN, LOSS, ATTACK, IMAGE)},
                )
            )
    together = [_across(subjects)] if len(subjects) > 1 else []
    brief = [_brief(one) for one in subjects]
    return Report("Gradient and attack", parts, Drawn(panels), FIGURE, together, brief, BRIEF)


FIGURE = (
    "Left: radial frequency centroid of the minimal perturbation against that of the margin's "
    "gradient at the clean image, a point a sample. Right: mean share of energy in 8 bands, with "
    "95 % bootstrap intervals."
)
BRIEF = (
    "Radial frequency centroid of the minimal perturbation and of the gradient of the margin at "
    "the clean image, and Spearman's correlation of the two over samples; 95 % bootstrap intervals."
)
READING = (
    "RFC: mean radial frequency centroid (white noise {white:.3f}) of the minimal perturbation, of "
    "the gradients of margin and loss at the clean image, and of the image. rho: Spearman's "
    "correlation over samples between the perturbation's RFC and that of the gradient, and of the "
    "controls: the clean image, and noise of the perturbation's norm, where 0 is right. "
    "difference: perturbation minus gradient of the margin. cos: between perturbation and minus "
    "the gradient. overlap: sum of the smaller of two power spectra (1: the same). 95 % bootstrap "
    "intervals over the n samples that were fooled."
)
ACROSS = (
    "Over models: correlation of the mean RFC of the perturbation with that of the gradient, and "
    "with that of the same nets' twins. Spearman's rho with a 95 % interval of the bootstrap over "
    "models, never narrower than the closed form; image: the clean images, the same for all nets "
    "but for those that a net gets wrong, a control. These nets are no random sample of nets. Two "
    "models of a family resemble each other, so that the interval is rather too narrow."
)


def _brief(one: Subject) -> dict[str, str]:
    f = found(one)
    twin = None if one.twin is None else found(one.twin)
    return {
        "Model": one.name,
        "n": str(f.n),
        "RFC attack": shown(f.rfc[ATTACK], 3),
        "RFC gradient": shown(f.rfc[MARGIN], 3),
        "rho": shown(f.rho[MARGIN]),
        "rho with the image's RFC": shown(f.rho[IMAGE]),
        "untrained, rho": "-" if twin is None else shown(twin.rho[MARGIN]),
    }


def _row(one: Subject, f: Found) -> dict[str, str]:
    return {
        "model": one.name,
        "n": str(f.n),
        "RFC attack": shown(f.rfc[ATTACK], 3),
        "margin": shown(f.rfc[MARGIN], 3),
        "loss": shown(f.rfc[LOSS], 3),
        "image": shown(f.rfc[IMAGE], 3),
        "difference": shown(f.difference, 3),
        "rho margin": shown(f.rho[MARGIN]),
        "rho loss": shown(f.rho[LOSS]),
        **{f"rho {name}": shown(f.rho[name]) for name in (IMAGE, *NOISES)},
        "cos margin": shown(f.cos[MARGIN]),
        "cos loss": shown(f.cos[LOSS]),
        "overlap margin": shown(f.overlap[MARGIN]),
        "overlap white": shown(f.overlap["white"]),
    }


def _across(subjects: Sequence[Subject]) -> Part:
    trained = [found(one) for one in subjects]
    twins = [found(one.twin) for one in subjects if one.twin is not None]
    rows = []
    for label, group in (("trained", trained), ("untrained", twins)):
        attack = [f.rfc[ATTACK].mean for f in group]
        for name in (MARGIN, LOSS, IMAGE):
            other = [f.rfc[name].mean for f in group]
            both = rank_correlations(attack, other, subjects[0].seed)
            rows.append(
                {
                    "models": label,
                    "n": str(both.n),
                    "attack against": name,
                    "Spearman": shown(both.spearman),
                    "Kendall": shown(both.kendall),
                }
            )
    return Part("Gradient and attack over models", rows, ACROSS)
