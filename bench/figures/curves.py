"""Robust accuracy against epsilon, from the minimal norms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.figures.mark import Mark, colours, shade
from bench.stats.bootstrap import Floats

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CAPTION = (
    "Accuracy that is left at each budget, from the norms of the minimal attacks: an upper bound, "
    "since a shorter perturbation could only lower it. At 0 it is the clean accuracy (all of the "
    "protocol's samples). Colours are families, further models of one lighter or darker; dashed: "
    "nets without nonlinearity; dotted: untrained."
)


@dataclass(frozen=True)
class Panel:
    """One minimal attack.

    Attributes:
        attack: its name.
        norm: its norm's name.
        epsilons: (E,) budgets, [0, 1] pixels.
        accuracies: (E,) percent, one for each model.
    """

    attack: str
    norm: str
    epsilons: Floats
    accuracies: Sequence[Floats]


@dataclass(frozen=True)
class Curves:
    """The accuracy of every model under each minimal attack.

    Attributes:
        models: the models.
        panels: the attacks.
    """

    models: Sequence[Mark]
    panels: Sequence[Panel]

    def draw(self) -> Figure:
        """Draw one panel for each attack."""
        from matplotlib.figure import Figure

        palette = colours(self.models)
        count = max(1, len(self.panels))
        figure = Figure(figsize=(3.9 * count + 1.9, 3.4), layout="constrained")
        axes = figure.subplots(1, count, sharey=True, squeeze=False).ravel()
        for axis, panel in zip(axes, self.panels, strict=False):
            before: Counter[tuple[str, str]] = Counter()
            for mark, accuracy in zip(self.models, panel.accuracies, strict=True):
                label = mark.label if panel is self.panels[0] else None
                kind = (mark.family, mark.dashes)
                colour = shade(palette[mark.family], before[kind])
                before[kind] += 1
                axis.plot(
                    panel.epsilons, accuracy, ls=mark.dashes, color=colour, lw=1.4, label=label
                )
            axis.set(xlabel=f"epsilon ({panel.norm}, [0, 1] pixels)")
            axis.set_title(panel.attack, loc="left")
            axis.set_xlim(0, panel.epsilons[-1])
            axis.set_ylim(0, 100)
        axes[0].set_ylabel("robust accuracy, upper bound (%)")
        figure.legend(loc="outside right center", fontsize=6.8)
        return figure
