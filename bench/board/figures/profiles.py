"""Radial energy profiles, a panel for each family (or model type)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bench.board.build import Row, Table
from bench.board.figures.rows import chosen, is_linear, meta, short
from bench.board.spectra import Profile, rings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL_COLOURS = ("#D55E00", "#0072B2", "#009E73", "#B5539C", "#E69F00", "#3A9BD9")
CAPTION = (
    "Energy of the perturbations at each radial frequency, relative to white noise of the same "
    "energy (dashed line at 1); bands: 95 % over samples; gray: the clean images themselves."
)


def draw(
    table: Table, found: Mapping[str, Mapping[str, Profile]], clean: Profile | None
) -> Figure | None:
    """Draw the mean profile of every model under the primary attack; None without any.

    Args:
        table: whose models.
        found: model name -> attack -> profile.
        clean: profile of the clean images.
    """
    from matplotlib.figure import Figure

    primary = table.rules.primary
    rows = [r for r in chosen(table.rows, primary) if primary in found.get(r.model.name, {})]
    if not rows:
        return None
    panels = _panels(rows)
    columns = min(4, max(1, len(panels)))
    lines = -(-len(panels) // columns) or 1
    figure = Figure(
        figsize=(max(4.6, 2.55 * columns + 0.7), 2.75 * lines + 0.5), layout="constrained"
    )
    axes = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
    radius = rings(*table.size).radius
    for axis, (name, members) in zip(axes, panels.items(), strict=False):
        _panel(axis, name, members, radius, found, clean, primary)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    figure.supxlabel("radial frequency (1 = Nyquist)", fontsize=8.5)
    figure.supylabel("energy per frequency / white noise", fontsize=8.5)
    return figure


def _panels(rows: Sequence[Row]) -> dict[str, list[Row]]:
    by = "family" if len({meta(r, "family") for r in rows}) <= 6 else "type"
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(meta(row, by), []).append(row)
    # by name, controls last: the same kind of net then has the same colour in every panel
    return {
        name: sorted(found[name], key=lambda r: (r.model.control, r.model.name))
        for name in sorted(found)
    }


def _panel(
    axis: Axes,
    name: str,
    members: Sequence[Row],
    radius: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    found: Mapping[str, Mapping[str, Profile]],
    clean: Profile | None,
    primary: str,
) -> None:
    if clean is not None:
        axis.plot(radius, clean.mean, color="#b9b9b9", lw=3.2, label=f"clean images (n={clean.n})")
    axis.axhline(1, color="#444444", lw=0.9, ls=(0, (4, 3)))
    for place, row in enumerate(members):
        profile = found[row.model.name][primary]
        colour = "#666666" if row.model.control else PANEL_COLOURS[place % len(PANEL_COLOURS)]
        dashes = ":" if row.model.control else "--" if is_linear(row) else "-"
        label = f"{short(row)} (n={profile.n})"
        axis.fill_between(radius, profile.low, profile.high, color=colour, alpha=0.22, lw=0)
        axis.plot(radius, profile.mean, color=colour, ls=dashes, label=label)
    axis.set_yscale("log")
    axis.set_title(name, loc="left")
    axis.set_xlim(0, np.sqrt(2))
    axis.set_xticks([0, 0.5, 1, 1.414], ["0", "0.5", "1", "√2"])
    axis.legend(loc="lower left", fontsize=6.2, handlelength=1.8, borderaxespad=0.2)
