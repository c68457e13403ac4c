"""Radial energy profiles with bands: a panel for each family (or model type), or each attack."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.figures.mark import Mark, colours, shade
from bench.figures.style import REFERENCE, panels, plain
from bench.stats.bootstrap import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAIR_COLOURS = ("#222222", "#999999")
"""Of two models; colours are families'."""
LEGEND_DECADES = 0.2
"""Decades that a line of a legend takes, more or less."""
MAX_FAMILIES = 6
"""With more, the panels are model types."""
CAPTION = (
    "Energy of the perturbations at each radial frequency, relative to white noise of the same "
    "energy (dashed line at 1); bands: 95 % over samples; gray: the clean images themselves."
)
RADIUS, ENERGY = "radial frequency (1 = Nyquist)", "energy per frequency / white noise"


@dataclass(frozen=True)
class Profile:
    """Mean energy per frequency on each ring, white noise being 1, with 95 % bands.

    Attributes:
        mean, low, high: (R,).
        n: kept samples.
    """

    mean: Floats
    low: Floats
    high: Floats
    n: int


@dataclass(frozen=True)
class Profiles:
    """The profile of every model under one attack.

    Attributes:
        radius: (R,) of the rings, 1 = Nyquist.
        models: at least one.
        clean: profile of the clean images.
    """

    radius: Floats
    models: Sequence[tuple[Mark, Profile]]
    clean: Profile | None

    def draw(self) -> Figure:
        """Draw a panel for each family (or model type)."""
        found, palette = self._panels(), colours([mark for mark, _ in self.models])
        figure, axes = panels(len(found), 4, (2.55, 2.75), (0.7, 0.5), share=True)
        for axis, (name, members) in zip(axes, found.items(), strict=True):
            self._panel(axis, name, members, palette)
        # room for the legends below the lines
        lines = 1 + max(len(members) for members in found.values())
        axes[0].set_ylim(bottom=axes[0].get_ylim()[0] * 10 ** (-LEGEND_DECADES * lines))
        figure.supxlabel(RADIUS, fontsize=8.5)
        figure.supylabel(ENERGY, fontsize=8.5)
        return figure

    def _panels(self) -> dict[str, list[tuple[Mark, Profile]]]:
        many = len({mark.family for mark, _ in self.models}) > MAX_FAMILIES
        found: dict[str, list[tuple[Mark, Profile]]] = {}
        for mark, profile in self.models:
            found.setdefault(mark.type if many else mark.family, []).append((mark, profile))
        # by name, controls last: the same kind of net then has the same colour in every panel
        return {
            name: sorted(found[name], key=lambda model: (model[0].control, model[0].name))
            for name in sorted(found)
        }

    def _panel(
        self,
        axis: Axes,
        name: str,
        members: Sequence[tuple[Mark, Profile]],
        palette: Mapping[str, str],
    ) -> None:
        if (clean := self.clean) is not None:
            label = f"clean images (n={clean.n})"
            axis.plot(self.radius, clean.mean, color="#b9b9b9", lw=3.2, label=label)
        axis.axhline(1, **REFERENCE)
        before: Counter[tuple[str, str]] = Counter()
        for mark, profile in members:
            kind = (mark.family, mark.dashes)
            colour = "#666666" if mark.control else shade(palette[mark.family], before[kind])
            before[kind] += 1
            axis.fill_between(
                self.radius, profile.low, profile.high, color=colour, alpha=0.22, lw=0
            )
            label = f"{mark.label} (n={profile.n})"
            axis.plot(self.radius, profile.mean, color=colour, ls=mark.dashes, label=label)
        axis.set_yscale("log")
        axis.set_title(name, loc="left")
        axis.set_xlim(0, np.sqrt(2))
        axis.set_xticks([0, 0.5, 1, 1.414], ["0", "0.5", "1", "√2"])
        axis.legend(loc="lower left", fontsize=6.2, handlelength=1.8, borderaxespad=0.2)


@dataclass(frozen=True)
class Overlay:
    """The profiles of two models under every attack.

    Attributes:
        radius: (R,) of the rings, 1 = Nyquist.
        attacks: attack names, a panel each.
        models: name and attack -> profile, where there is one, of each model.
    """

    radius: Floats
    attacks: Sequence[str]
    models: Sequence[tuple[str, Mapping[str, Profile]]]

    def draw(self) -> Figure:
        """Draw both models' profiles in each panel."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(2.5 * len(self.attacks) + 0.6, 3.1), layout="constrained")
        axes = figure.subplots(1, len(self.attacks), sharey=True, squeeze=False).ravel()
        for (name, found), colour in zip(self.models, PAIR_COLOURS, strict=True):
            for axis, attack in zip(axes, self.attacks, strict=True):
                if attack not in found:
                    continue
                profile = found[attack]
                label = plain(name) if attack == self.attacks[0] else None
                axis.fill_between(
                    self.radius, profile.low, profile.high, color=colour, alpha=0.25, lw=0
                )
                axis.plot(self.radius, profile.mean, color=colour, label=label)
        for axis, attack in zip(axes, self.attacks, strict=True):
            axis.axhline(1, **REFERENCE)
            axis.set_yscale("log")
            axis.set_title(attack, loc="left")
            axis.set_xlim(0, np.sqrt(2))
            axis.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        axes[0].set_ylabel(ENERGY)
        figure.supxlabel(RADIUS, fontsize=8.5)
        figure.legend(loc="outside upper center", ncols=2)
        return figure
