"""Robust accuracy against epsilon, from the minimal norms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from bench.board.build import Table
from bench.board.figures.rows import chosen, colours, is_linear, meta, short
from bench.results.samples import Samples
from bench.stats.bootstrap import Floats
from bench.stats.intervals import robust_accuracy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CAPTION = (
    "Accuracy that is left at each budget, from the Brendel-Bethge norms (an upper bound: a better "
    "attack could only lower it). At 0 it is the clean accuracy."
)


def draw(table: Table, found: Mapping[str, Samples]) -> Figure:
    """Draw one panel for each minimal attack.

    Args:
        table: whose models.
        found: model name -> its samples.
    """
    from matplotlib.figure import Figure

    minimal = [name for name, spec in table.rules.attacks.items() if spec.minimal]
    rows = chosen(table.rows, table.rules.primary)
    palette = colours(rows)
    figure = Figure(figsize=(3.9 * max(1, len(minimal)) + 1.9, 3.4), layout="constrained")
    axes = figure.subplots(1, max(1, len(minimal)), sharey=True, squeeze=False).ravel()
    for axis, attack in zip(axes, minimal, strict=False):
        place = list(table.rules.attacks).index(attack)
        epsilons = _grid(found, place)
        for row in rows:
            samples = found[row.model.name]
            curve = 100 * robust_accuracy(
                samples.norm[place], samples.success[place], samples.clean_correct[place], epsilons
            )
            style = ":" if row.model.control else "--" if is_linear(row) else "-"
            label = short(row) if attack == minimal[0] else None
            colour = palette[meta(row, "family")]
            axis.plot(epsilons, curve, ls=style, color=colour, lw=1.4, label=label)
        axis.set(xlabel=f"epsilon ({table.rules.attacks[attack].norm}, [0, 1] pixels)")
        axis.set_title(attack, loc="left")
        axis.set_xlim(0, epsilons[-1])
        axis.set_ylim(0, 100)
    axes[0].set_ylabel("robust accuracy (%)")
    figure.legend(loc="outside right center", fontsize=6.8)
    return figure


def _grid(found: Mapping[str, Samples], attack: int) -> Floats:
    """101 budgets from 0 to where nearly every sample of every model is fooled."""
    ends = [np.nanquantile(s.norm[attack], 0.98) for s in found.values() if s.kept[attack].any()]
    return np.linspace(0, max([float(e) for e in ends] or [1.0]), 101)
