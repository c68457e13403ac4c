"""One model at a glance: profile, mean spectrum, distances, examples, each alone or on one sheet.

Colours: the model that is shown in the ink of the text; the board's nets, thin, in the colours of
their families, which mean the same in every figure of this project.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.figures.examples import colour, spectrum
from bench.figures.ink import LIGHT, Ink
from bench.figures.maps import DECADES
from bench.figures.mark import Mark
from bench.figures.profiles import Profile
from bench.figures.style import FAMILY_COLOURS, bare, plain
from bench.grid import Floats, above_white
from bench.results.extras import Example

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

OTHER = "#7a6ff0"
"""Of nets of no family of the paper."""
WIDTH = 5.6
"""Of a part alone, inches: on a telephone its text is still read."""


def family_colour(mark: Mark) -> str:
    """Return the colour of a family of the paper, else the one of all others."""
    return FAMILY_COLOURS.get(mark.family, OTHER)


@dataclass(frozen=True)
class Part:
    """A part of the sheet.

    Attributes:
        ink: light or dark.
    """

    ink: Ink = field(default=LIGHT, kw_only=True)

    @property
    def height(self) -> float:
        """Inches, if it stands alone."""
        return 4.5

    def draw(self) -> Figure:
        """Draw it alone."""
        from matplotlib.figure import Figure

        with self.ink.used():
            figure = Figure(figsize=(WIDTH, self.height), layout="constrained")
            self.paint(figure)
        return figure

    def paint(self, figure: Figure | SubFigure) -> None:
        """Draw it into a figure or a part of one."""
        raise NotImplementedError


def say(figure: Figure | SubFigure, title: str, text: str) -> None:
    """Say why there is nothing to be seen."""
    axis = figure.subplots()
    bare(axis)
    axis.set_title(title, loc="left")
    axis.text(0.5, 0.5, text, ha="center", va="center", wrap=True, transform=axis.transAxes)


@dataclass(frozen=True)
class RadialPart(Part):
    """Energy by radial frequency.

    Attributes:
        radius: (R,) of the rings, 1 = Nyquist.
        own: the model's name and profile; None: nothing was fooled.
        clean: profile of the clean images.
        nets: the board's, each with its mean (R,).
    """

    radius: Floats
    own: tuple[str, Profile] | None
    clean: Profile | None
    nets: Sequence[tuple[Mark, Floats]]

    def paint(self, figure: Figure | SubFigure) -> None:
        """Draw the profiles."""
        title = "Where the perturbations have their energy"
        if self.own is None:
            say(figure, title, "no sample was fooled:\nthere is no perturbation")
            return
        axis, ink = figure.subplots(), self.ink
        _nets(axis, [(mark, self.radius, values) for mark, values in self.nets])
        if self.clean is not None:
            label = f"clean images (n = {self.clean.n})"
            axis.plot(self.radius, self.clean.mean, color=ink.clean, lw=4.5, label=label)
        axis.axhline(1, color=ink.quiet, lw=1.1, ls=(0, (5, 3)), label="white noise")
        name, own = self.own
        if not np.isnan(own.low).all():
            axis.fill_between(self.radius, own.low, own.high, color=ink.text, alpha=0.16, lw=0)
        axis.plot(
            self.radius, own.mean, color=ink.text, lw=2.6, label=f"{plain(name)} (n = {own.n})"
        )
        axis.set_yscale("log")
        low, high = _span(own, [values for _, values in self.nets])
        axis.set_ylim(low, high)
        axis.set_xlim(0, np.sqrt(2))
        axis.set_xticks([0, 0.5, 1, 1.414], ["0", "0.5", "1", "√2"])
        axis.set_xlabel("radial frequency (1 = Nyquist)")
        axis.set_ylabel("energy / white noise")
        axis.set_title(title, loc="left")
        _legend(figure, axis, [mark for mark, _ in self.nets], ink)


def _span(own: Profile, nets: Sequence[Floats]) -> tuple[float, float]:
    """Limits of the axis: of all that perturbations show; clean images may leave it."""
    values = np.concatenate([own.mean, own.low, own.high, [1.0], *nets])
    values = values[np.isfinite(values) & (values > 0)]
    low, high = np.quantile(values, [0.01, 1.0])
    return max(float(low) / 1.4, 1e-4), float(high) * 1.6


def _nets(axis: Axes, lines: Sequence[tuple[Mark, Floats, Floats]]) -> None:
    """Draw the board's nets, thin."""
    for mark, x, y in lines:
        dashes = ":" if mark.control else (0, (4, 1.5)) if mark.linear else "-"
        axis.plot(x, y, color=family_colour(mark), ls=dashes, lw=1.2, alpha=0.9)


def _legend(figure: Figure | SubFigure, axis: Axes, nets: Sequence[Mark], ink: Ink) -> None:
    """Put the legend below, so that it covers nothing: the model, references, families."""
    from matplotlib.lines import Line2D

    handles, labels = axis.get_legend_handles_labels()
    first = {mark.family: mark for mark in nets}
    families = [
        Line2D([], [], color=family_colour(mark), lw=1.6, label=plain(family))
        for family, mark in sorted(first.items())
    ]
    if any(mark.linear for mark in nets):
        dashed = Line2D([], [], color=ink.quiet, lw=1.2, ls=(0, (4, 1.5)), label="linear nets")
        families.append(dashed)
    shown = [*reversed(handles), *families]
    names = [*reversed(labels), *(str(line.get_label()) for line in families)]
    columns = 3 if len(names) > 4 else 2
    figure.legend(shown, names, loc="outside lower center", ncols=columns, handlelength=2)


@dataclass(frozen=True)
class MapPart(Part):
    """The mean 2-D spectrum.

    Attributes:
        values: (H, W) share of each frequency, DC in the centre; None: it is not known.
        n: over so many samples.
    """

    values: Floats | None
    n: int

    def paint(self, figure: Figure | SubFigure) -> None:
        """Draw the map."""
        title = "Mean 2-D spectrum"
        if self.values is None:
            say(figure, title, "no mean spectrum\nis kept of this result")
            return
        axis = figure.subplots()
        ratio = above_white(self.values)
        height, width = ratio.shape
        ratio[height // 2, width // 2] = np.nan
        shown = axis.imshow(
            ratio,
            cmap="RdBu_r",
            vmin=-DECADES,
            vmax=DECADES,
            extent=(-1, 1, 1, -1),
            interpolation="nearest",
        )
        angle = np.linspace(0, 2 * np.pi, 181)
        axis.plot(np.cos(angle), np.sin(angle), color="#333333", lw=0.8)
        axis.set_title(title, loc="left")
        axis.set_xlabel(f"zero frequency in the centre; circle: Nyquist; n = {self.n}", fontsize=8)
        bare(axis)
        bar = figure.colorbar(shown, ax=axis, shrink=0.85, pad=0.02, extend="both")
        bar.set_ticks([-2, -1, 0, 1, 2], labels=["1/100", "1/10", "1", "10", "100"])
        bar.set_label("energy / white noise")


@dataclass(frozen=True)
class DistancePart(Part):
    """Accuracy that is left at each budget: an upper bound.

    Attributes:
        norm: "L2" and the like.
        epsilons: (E,) budgets, [0, 1] pixels.
        own: the model's name and accuracy (E,) in percent; None: no minimal attack was run.
        nets: the board's, likewise.
    """

    norm: str
    epsilons: Floats
    own: tuple[str, Floats] | None
    nets: Sequence[tuple[Mark, Floats]]

    def paint(self, figure: Figure | SubFigure) -> None:
        """Draw the curves."""
        title = "Accuracy left at each budget (an upper bound)"
        if self.own is None:
            say(figure, title, "no attack that looks for\nthe smallest perturbation was run")
            return
        axis = figure.subplots()
        _nets(axis, [(mark, self.epsilons, values) for mark, values in self.nets])
        name, values = self.own
        axis.plot(self.epsilons, values, color=self.ink.text, lw=2.6, label=plain(name))
        axis.set_xlim(0, self.epsilons[-1])
        axis.set_ylim(0, 100)
        axis.set_xlabel(f"largest {self.norm} norm of a perturbation ([0, 1] pixels)")
        axis.set_ylabel("accuracy, at most (%)")
        axis.set_title(title, loc="left")
        _legend(figure, axis, [mark for mark, _ in self.nets], self.ink)


@dataclass(frozen=True)
class ExamplesPart(Part):
    """Samples: clean image, perturbation, its spectrum.

    Attributes:
        examples: at most three are shown.
        norm: whose norm stands beside a perturbation, "l2" and the like.
    """

    examples: Sequence[Example]
    norm: str

    @property
    def height(self) -> float:
        """Inches: square pictures."""
        return 5.4

    def paint(self, figure: Figure | SubFigure) -> None:
        """Draw a line of pictures for each example."""
        title = "Three examples"
        if not self.examples:
            say(figure, title, "no examples\nare kept of this result")
            return
        shown = self.examples[:3]
        figure.suptitle(title, x=0.02, ha="left", fontweight="bold", fontsize=10.5)
        axes = figure.subplots(len(shown), 3, squeeze=False)
        for line, example in zip(axes, shown, strict=True):
            self._line(list(line), example)
        for axis, word in zip(axes[0], ("clean", "perturbation", "spectrum"), strict=True):
            axis.set_title(word, fontsize=9, fontweight="normal")

    def _line(self, axes: Sequence[Axes], example: Example) -> None:
        for axis in axes:
            bare(axis)
        delta = example.delta
        largest = float(np.abs(delta).max()) or 1.0
        axes[0].imshow(colour(example.image), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        if delta.shape[0] == 1:
            axes[1].imshow(
                delta[0], cmap="RdBu_r", vmin=-largest, vmax=largest, interpolation="nearest"
            )
        else:
            axes[1].imshow(colour(0.5 + delta / (2 * largest)), interpolation="nearest")
        axes[2].imshow(spectrum(delta), cmap="RdBu_r", vmin=-2, vmax=2, interpolation="nearest")
        axes[0].set_ylabel(f"sample {example.sample_id}", fontsize=8)
        axes[1].set_xlabel(f"{_norm(delta, self.norm)}, largest {largest:.2g}", fontsize=8)


def _norm(delta: Floats, norm: str) -> str:
    order = {"l1": 1, "l2": 2, "linf": np.inf}[norm]
    return f"{norm[0].upper()}{norm[1:]} {np.linalg.norm(delta.ravel(), order):.3g}"


@dataclass(frozen=True)
class Sheet(Part):
    """Everything on one sheet.

    Attributes:
        title, lines: above the figures.
        table: the numbers, with the same keys in every row.
        radial, spectrum, distances, examples: the figures.
    """

    title: str
    lines: Sequence[str]
    table: Sequence[Mapping[str, str]]
    radial: RadialPart
    spectrum: MapPart
    distances: DistancePart
    examples: ExamplesPart

    def draw(self) -> Figure:
        """Draw the sheet."""
        from matplotlib.figure import Figure

        with self.ink.used():
            head, foot = 0.42 + 0.21 * len(self.lines), 0.4 + 0.22 * len(self.table)
            figure = Figure(figsize=(11, head + 8.9 + foot), layout="constrained")
            ratios = [head, 4.1, 4.8, foot]
            parts: Any = figure.subfigures(4, 1, height_ratios=ratios, hspace=0.01)
            _words(parts[0], self.title, self.lines, head)
            above = parts[1].subfigures(1, 2, width_ratios=[1.5, 1])
            below = parts[2].subfigures(1, 2, width_ratios=[1.25, 1])
            places = (*above, *below)
            shown = (self.radial, self.spectrum, self.distances, self.examples)
            for place, part in zip(places, shown, strict=True):
                replace(part, ink=self.ink).paint(place)
            _table(parts[3], self.table, foot)
        return figure


def _words(figure: SubFigure, title: str, lines: Sequence[str], height: float) -> None:
    figure.text(0.012, 1 - 0.12 / height, plain(title), va="top", fontsize=14, fontweight="bold")
    for place, line in enumerate(lines):
        top = 1 - (0.44 + 0.21 * place) / height
        figure.text(0.012, top, line.replace("$", r"\$"), va="top", fontsize=9)


def _table(figure: SubFigure, rows: Sequence[Mapping[str, str]], height: float) -> None:
    heads = list(rows[0])
    longest = [max(len(head), *(len(row[head]) for row in rows)) + 3 for head in heads]
    left = np.concatenate([[0], np.cumsum(longest)]) / sum(longest) * 0.9 + 0.012
    for line, row in enumerate([{head: head for head in heads}, *rows]):
        top = 1 - (0.1 + 0.22 * line) / height
        weight = "bold" if line == 0 else "normal"
        for place, head in enumerate(heads):
            figure.text(left[place], top, row[head], va="top", fontsize=8.5, fontweight=weight)
