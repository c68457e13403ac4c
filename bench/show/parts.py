"""From a result to what its figures show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.board.spectra import relative_to_white, rings
from bench.data.formats import embedded
from bench.entries import registry
from bench.figures.ink import LIGHT, Ink
from bench.figures.profiles import Profile
from bench.figures.sheet import DistancePart, ExamplesPart, MapPart, RadialPart
from bench.grid import Floats, frequency_grid, power_without_dc
from bench.results.extras import Array
from bench.show.nets import mark
from bench.show.result import Result
from bench.show.text import NORMS
from bench.stats.bootstrap import percentile_interval, resample_counts, resampled_means
from bench.stats.intervals import robust_accuracy

BUDGETS = 121


def radial(result: Result, attack: str, nets: Sequence[Result], ink: Ink = LIGHT) -> RadialPart:
    """Return the radial profiles of a result, the clean images, and the board's nets."""
    own = profile(result, attack)
    means = [(mark(net), found.mean) for net in nets if (found := profile(net, attack, False))]
    shown = None if own is None else (result.name, own)
    return RadialPart(rings(*result.size).radius, shown, clean(result), means, ink=ink)


def profile(result: Result, attack: str, band: bool = True) -> Profile | None:
    """Return the mean profile under an attack, white noise being 1; None if there is none.

    Args:
        result: whose.
        attack: under which.
        band: with its 95 % band over the samples.
    """
    ring, rows = rings(*result.size), result.attacks.get(attack)
    if rows is None:
        return None
    if rows.energy is None:
        mean, n = result.extras.energy.get(attack, (None, 0))
        if mean is None:
            return None
        values = relative_to_white(mean[None], ring)[0]
        return _without_band(values, n)
    kept = rows.kept & ~np.isnan(rows.energy).any(axis=1)
    if not kept.any():
        return None
    values = np.zeros((len(ring.share), len(kept)))
    values[:, kept] = relative_to_white(rows.energy[kept], ring).T
    if not band or kept.sum() < 2:  # one sample has no interval
        mean = values[:, kept].mean(axis=1)
        return Profile(
            mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan), int(kept.sum())
        )
    counts = resample_counts(len(kept), result.protocol.seed)
    mean, drawn = resampled_means(values, kept, counts)
    low, high = percentile_interval(drawn)
    return Profile(mean, low, high, int(kept.sum()))


def _without_band(mean: Floats, n: int) -> Profile:
    nothing = np.full_like(mean, np.nan)
    return Profile(mean, nothing, nothing, n)


def clean(result: Result) -> Profile | None:
    """Return the profile of the clean images: of the embedded ones, else of the examples."""
    images = _images(result)
    if images is None:
        return None
    ring = rings(*result.size)
    power = power_without_dc(images)
    share = power / power.sum(axis=1, keepdims=True)
    place = ring.place[frequency_grid(*result.size).bin]
    mean = np.bincount(place, weights=share.mean(axis=0), minlength=len(ring.share)) / ring.share
    return Profile(mean, mean, mean, len(images))


def _images(result: Result) -> Array | None:
    entry = result.dataset
    path = embedded.find(registry.registry_dir(), entry)
    if path is not None and not entry.transform and result.size == (entry.size, entry.size):
        return embedded.read_file(path).fractions()
    shown = {e.sample_id: e.image for some in result.extras.examples.values() for e in some}
    return np.stack([shown[i] for i in sorted(shown)]) if shown else None


def spectrum(result: Result, attack: str, ink: Ink = LIGHT) -> MapPart:
    """Return the mean 2-D spectrum of a result."""
    values, n = result.extras.maps.get(attack, (None, 0))
    return MapPart(values, n, ink=ink)


def distances(
    result: Result, attack: str, nets: Sequence[Result], ink: Ink = LIGHT
) -> DistancePart:
    """Return the accuracy that is left at each budget, of a result and the board's nets.

    Args:
        result: what is shown.
        attack: if it looks for no minimum, the first one that does is taken.
        nets: beside it.
        ink: light or dark.
    """
    settings = result.settings
    minimal = [name for name in result.protocol.attacks if settings[name].minimal]
    there = [name for name in (attack, *minimal) if name in minimal and name in result.attacks]
    if not there:
        return DistancePart("", np.zeros(0), None, (), ink=ink)
    chosen = there[0]
    others = [net for net in nets if chosen in net.attacks]
    ends = [
        float(np.quantile(rows.norm[rows.fooled], 0.98))
        for rows in (one.attacks[chosen] for one in (result, *others))
        if rows.fooled.any()
    ]
    epsilons = np.linspace(0, max([end for end in ends if end > 0] or [1.0]), BUDGETS)
    curves = [(mark(net), left(net, chosen, epsilons)) for net in others]
    own = (result.name, left(result, chosen, epsilons))
    return DistancePart(NORMS[settings[chosen].norm], epsilons, own, curves, ink=ink)


def left(result: Result, attack: str, epsilons: Floats) -> Floats:
    """Return the accuracy that is left at each budget, percent: an upper bound."""
    rows = result.attacks[attack]
    share = robust_accuracy(rows.norm, rows.fooled, rows.clean_correct, epsilons)
    percent: Floats = 100 * share
    return percent


def examples(result: Result, attack: str, ink: Ink = LIGHT) -> ExamplesPart:
    """Return the first example images of a result."""
    found = result.extras.examples.get(attack, ())
    return ExamplesPart(found[:3], result.settings[attack].norm, ink=ink)
