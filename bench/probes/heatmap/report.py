"""Heat maps in words and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.figures.heatmap import Drawn, Panel
from bench.probes.heatmap.probe import CLIPPED, FREE, Heatmap
from bench.probes.modes import STRATA, Modes, modes
from bench.probes.report import Part, Report
from bench.probes.tables import Bools, Floats, Subject, measured, shown
from bench.results.probes import Arrays
from bench.stats.bootstrap import percentile_interval, resample_counts, resampled_means
from bench.stats.intervals import NOTHING, Interval, mean_interval, proportion_interval

CONTROLS = ("white", "pink", "sign", "image")


@dataclass(frozen=True)
class Found:
    """What one part says of one model; shares are of the n measured samples."""

    part: str
    n: int
    accuracy: Interval
    error: Interval
    """Mean over strata: every radius counts the same."""
    slope: Interval
    """Of the error against radius, an error of 1 over a radius of 1."""
    margin_slope: Interval
    """Of the change of margin, as a share of the mean clean margin."""
    controls: dict[str, Interval]
    profile: list[Interval]
    """Error of each stratum."""


def weights(chosen: Modes) -> tuple[Floats, Floats, Floats]:
    """Return what makes strata and a slope of values at the modes.

    Returns:
        (STRATA', M) averages of each stratum that has modes; (STRATA',) mean radii; (M,) weights
        whose product with the values is the least-squares slope of strata's means on radii.
    """
    there = [s for s in range(STRATA) if (chosen.stratum == s).any()]
    mean = np.stack([(chosen.stratum == s) / (chosen.stratum == s).sum() for s in there])
    radius = mean @ chosen.radius
    centred = radius - radius.mean()
    return mean, radius, (centred / (centred**2).sum()) @ mean


def found(one: Subject, part: str) -> Found:
    """Return what one part says of a model."""
    c, seed = one.parts[part], one.seed
    chosen = modes(*one.shape[1:], seed)
    mean, _, slope = weights(chosen)
    kept = measured(c)
    wrong = np.where(kept[:, None], c["wrong"], 0.0)
    change = np.where(kept[:, None], c["change"], 0.0)
    right = int(kept.sum())
    own = bool(one.metadata["control"])
    return Found(
        part=part,
        n=right,
        accuracy=NOTHING if own else proportion_interval(right, len(kept)),
        error=mean_interval((wrong @ mean.T).mean(axis=1), kept, seed),
        slope=mean_interval(wrong @ slope, kept, seed),
        margin_slope=_ratio(change @ slope, c["margin"], kept, seed),
        controls={name: mean_interval(c[name].mean(axis=1), kept, seed) for name in CONTROLS},
        profile=[mean_interval(wrong @ row, kept, seed) for row in mean],
    )


def _ratio(values: Floats, over: Floats, kept: Bools, seed: int) -> Interval:
    """Return the ratio of two means over the kept samples, bootstrapped together."""
    if kept.sum() < 2:
        return NOTHING
    counts = resample_counts(len(values), seed)
    top, tops = resampled_means(values, kept, counts)
    below, belows = resampled_means(over, kept, counts)
    low, high = percentile_interval(np.asarray(tops / belows, dtype=np.float64))
    return Interval(float(top / below), float(low), float(high))


def panel(one: Subject, c: Arrays) -> Panel:
    """Return the map of a model's errors."""
    chosen = modes(*one.shape[1:], one.seed)
    kept = measured(c)
    share = c["wrong"][kept].mean(axis=0) if kept.any() else np.full(len(chosen), np.nan)
    height, width = one.shape[1:]
    values = np.full((height, width), np.nan)
    values[chosen.ky % height, chosen.kx % width] = share
    values[-chosen.ky % height, -chosen.kx % width] = share
    mean, radius, _ = weights(chosen)
    wrong = np.where(kept[:, None], c["wrong"], 0.0)
    profile = [mean_interval(wrong @ row, kept, one.seed) for row in mean]
    return Panel(
        one.name, str(one.metadata["family"]), bool(one.metadata["affine"]),
        bool(one.metadata["control"]), np.fft.fftshift(values), list(radius), profile,
        float(np.nanmean(c["white"])) if kept.any() else float("nan"),
    )  # fmt: skip


def report(probe: Heatmap, subjects: Sequence[Subject]) -> Report:
    """Return tables and figure of some models."""
    parts, panels = [], []
    for one in subjects:
        rows = []
        for each in one.both():
            rows += [_row(each, found(each, part)) for part in (FREE, CLIPPED)]
            panels.append(panel(each, each.parts[FREE]))
        chosen = modes(*one.shape[1:], one.seed)
        norm = probe.norm(one.shape)
        rms = norm / float(np.sqrt(np.prod(one.shape)))
        notes = READING.format(norm=norm, rms=rms, modes=len(chosen), total=chosen.total)
        parts.append(Part(f"{one.name}: Fourier heat map", rows, notes))
    brief = [_brief(one) for one in subjects]
    return Report("Fourier heat maps", parts, Drawn(panels), FIGURE, (), brief, BRIEF)


FIGURE = (
    "Share of images that one real Fourier mode of a fixed norm sends to another class, for every "
    "mode measured (zero frequency in the middle; images not clipped; each map has its own scale), "
    "and its mean over 16 rings "
    "with 95 % bootstrap intervals; dashed: white noise of the same norm. Crosses: untrained."
)
BRIEF = (
    "Share of images that one real Fourier mode of a fixed norm sends to another class, and the "
    "slope of that share against radius (negative: low frequencies do more); images not clipped, "
    "95 % bootstrap intervals."
)
READING = (
    "Perturbations of L2 norm {norm:.2f} (root mean square {rms:.3f}); {modes} of the {total} real "
    "modes of this size, phase and sign drawn for each image and mode. n: images that the model "
    "classifies correctly, whose share is the clean accuracy (an untrained twin is held to its own "
    "predictions, so that its clean error is 0); error: share of the n sent to another class, mean "
    "over 16 rings of equal width. slope: least squares of the rings' means on radius; a margin "
    "slope is in mean clean margins. Brackets: 95 % bootstrap intervals over images. Controls of "
    "the same norm: white noise, 1/f noise, the sign of white noise, and the clean image itself "
    "without its mean, both ways."
)


def _brief(one: Subject) -> dict[str, str]:
    f = found(one, FREE)
    twin = None if one.twin is None else found(one.twin, FREE)
    return {
        "Model": one.name,
        "n": str(f.n),
        "error": shown(f.error, 3),
        "slope of error": shown(f.slope, 3),
        "white noise": shown(f.controls["white"], 3),
        "untrained, slope": "-" if twin is None else shown(twin.slope, 3),
    }


def _row(one: Subject, f: Found) -> dict[str, str]:
    return {
        "model": one.name,
        "images": f.part,
        "n": str(f.n),
        "clean acc": "-" if np.isnan(f.accuracy.mean) else f"{100 * f.accuracy.mean:.0f} %",
        "error": shown(f.error, 3),
        "slope of error": shown(f.slope, 3),
        "slope of margin": shown(f.margin_slope, 3),
        **{name: shown(f.controls[name], 3) for name in CONTROLS},
    }
