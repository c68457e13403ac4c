"""Clean image, perturbation and its spectrum for one sample, model by model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bench.board.build import Row, Table
from bench.board.figures.style import chosen, short
from bench.board.spectra import Array, Example, Extras

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CAPTION = (
    "One sample, model by model: the clean image, the minimal L2 perturbation (each on its own "
    "symmetric scale, its norm above) and its spectrum (zero frequency in the centre, two decades "
    "below and above white noise)."
)
MAX_COLUMNS = 12


def draw(table: Table, found: Mapping[str, Extras]) -> Figure | None:
    """Draw the sample that most models have; None if no model has an example.

    Args:
        table: whose models.
        found: model name -> side file.
    """
    from matplotlib.figure import Figure

    primary = table.rules.primary
    rows = chosen(table.rows, primary)
    sample = _common(rows, found, primary)
    shown = [
        (row, example)
        for row in rows
        for example in found[row.model.name].examples.get(primary, ())
        if example.sample_id == sample
    ][:MAX_COLUMNS]
    if not shown:
        return None
    figure = Figure(figsize=(max(4.6, 1.15 * len(shown) + 0.5), 3.9), layout="constrained")
    axes = figure.subplots(3, len(shown), squeeze=False)
    for place, (row, example) in enumerate(shown):
        _column(list(axes[:, place]), row, example)
    for axis, text in zip(axes[:, 0], ("image", "perturbation", "spectrum"), strict=True):
        axis.set_ylabel(text, fontsize=7.5)
    figure.suptitle(f"sample {sample}, {primary}", fontsize=8)
    return figure


def _common(rows: Sequence[Row], found: Mapping[str, Extras], attack: str) -> int | None:
    seen = Counter(
        e.sample_id for row in rows for e in found[row.model.name].examples.get(attack, ())
    )
    return min(seen, key=lambda i: (-seen[i], i)) if seen else None


def _column(axes: Sequence[Axes], row: Row, example: Example) -> None:
    delta = example.delta
    largest = float(np.abs(delta).max()) or 1.0
    norm = float(np.sqrt((delta**2).sum()))
    axes[0].imshow(_colour(example.image), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    if delta.shape[0] == 1:
        axes[1].imshow(
            delta[0], cmap="RdBu_r", vmin=-largest, vmax=largest, interpolation="nearest"
        )
    else:
        axes[1].imshow(_colour(0.5 + delta / (2 * largest)), interpolation="nearest")
    axes[2].imshow(spectrum(delta), cmap="RdBu_r", vmin=-2, vmax=2, interpolation="nearest")
    axes[0].set_title(short(row), fontsize=5.6, fontweight="normal")
    axes[1].set_title(f"L2 {norm:.3g}", fontsize=6, fontweight="normal", pad=2)
    for axis in axes:
        axis.set(xticks=[], yticks=[])
        axis.grid(False)
        for side in axis.spines.values():
            side.set_visible(False)


def spectrum(delta: Array) -> Array:
    """Return log10 of the power relative to white noise, (H, W), shifted; NaN at DC."""
    power = (np.abs(np.fft.fft2(delta)) ** 2).sum(axis=0)
    power[0, 0] = 0
    with np.errstate(divide="ignore", invalid="ignore"):
        result = np.log10(power / power.sum() * (power.size - 1))
    result[0, 0] = np.nan
    shifted: Array = np.fft.fftshift(result)
    return shifted


def _colour(image: Array) -> Array:
    picture = np.clip(image, 0, 1)
    return picture[0] if len(picture) == 1 else np.moveaxis(picture[:3], 0, -1)
