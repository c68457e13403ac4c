"""Do two quantities order recipes alike? A rank correlation over recipes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.stats

from bench.board.claims.cells import Found, Net
from bench.board.claims.estimates import Estimate
from bench.board.claims.pairs import comparisons
from bench.entries.claims import Contrast
from bench.stats.contrasts import sidak
from bench.stats.correlation import spearman_closed
from bench.stats.intervals import Interval

FEWEST_RECIPES = 10
"""Below which no rank correlation is reported."""


def points(found: Found, contrast: Contrast) -> list[tuple[str, float, float]]:
    """Return name, metric and the other metric of each recipe, means over seeds and kept images."""
    assert contrast.against is not None, "an agreement has two metrics"
    result = []
    for comparison in comparisons(found.study, contrast):
        (side,) = comparison.sides
        nets = [found.nets[n] for n in side.cells.values() if n in found.nets]
        means = [_means(net, contrast.metric, contrast.against) for net in nets]
        there = [m for m in means if m is not None]
        if there:
            x, y = np.mean(there, axis=0)
            result.append((", ".join(comparison.words), float(x), float(y)))
    return result


def _means(net: Net, metric: str, against: str) -> tuple[float, float] | None:
    rows = net.rows.get(net.end)
    if rows is None:
        return None
    x, y = rows.values[metric], rows.values[against]
    both = rows.kept & np.isfinite(x) & np.isfinite(y)
    return (float(x[both].mean()), float(y[both].mean())) if both.any() else None


def agreement(found: Found, contrast: Contrast, claims: int, family: int) -> Estimate:
    """Return the rank correlation as an estimate; `ids` are recipes.

    The intervals are Bonett and Wright's, as if recipes were a random sample, which they are not.
    """
    planned = len(comparisons(found.study, contrast))
    there = points(found, contrast)
    base = f"{contrast.metric} against {contrast.against}"
    sides = ((1.0, contrast.metric), (1.0, str(contrast.against)))
    if len(there) < min(FEWEST_RECIPES, planned) or not there:
        why = f"{len(there)} of {planned} recipes"
        none_yet = Estimate(contrast, (base,), sides, "over recipes", measured=False, why=why)
        return replace(none_yet, begun=len(there))
    x, y = (np.array([p[i] for p in there]) for i in (1, 2))
    rho = float(scipy.stats.spearmanr(x, y).statistic)
    own, together = (
        Interval(rho, *spearman_closed(rho, len(there), sidak(f))) for f in (claims, family)
    )
    gap = x - y
    detail = f"{contrast.metric} less {contrast.against}: mean {gap.mean():+.3f}"
    detail += f", from {gap.min():+.3f} to {gap.max():+.3f}"
    # a correlation is shown early, and decides when all planned recipes are there
    whole = len(there) == planned
    some = "" if whole else f"{len(there)} of {planned} recipes"
    return Estimate(
        contrast,
        (base,),
        sides,
        "over recipes",
        detail=detail,
        own=own,
        together=together,
        ids=len(there),
        measured=whole,
        begun=0 if whole else len(there),
        why=some,
    )
