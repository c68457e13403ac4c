"""Clean image, perturbation and its spectrum for sample images, model by model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bench.board.build import Row, Table
from bench.board.figures.rows import chosen, short
from bench.board.spectra import Array, Example, Extras

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CAPTION = (
    "Samples, model by model: the clean image, the minimal L2 perturbation (each on its own "
    "symmetric scale, its norm above) and its spectrum (zero frequency in the centre, two decades "
    "below and above white noise)."
)
MAX_COLUMNS = 12
SAMPLES = 2


def draw(table: Table, found: Mapping[str, Extras]) -> Figure | None:
    """Draw the samples that most models have; None if no model has an example.

    Args:
        table: whose models.
        found: model name -> side file.
    """
    from matplotlib.figure import Figure

    primary = table.rules.primary
    rows = [r for r in chosen(table.rows, primary) if found[r.model.name].examples.get(primary)]
    samples = _common(rows, found, primary)
    if not samples:
        return None
    shown = {
        r.model.name: {e.sample_id for e in found[r.model.name].examples[primary]} for r in rows
    }
    rows = [row for row in rows if shown[row.model.name] & set(samples)][:MAX_COLUMNS]
    size = (1.12 * len(rows) + 0.4, 3.4 * len(samples) + 0.2)
    figure = Figure(figsize=size, layout="constrained")
    parts = figure.subfigures(len(samples), 1, squeeze=False).ravel()
    for part, sample in zip(parts, samples, strict=True):
        axes = part.subplots(3, len(rows), squeeze=False)
        for place, row in enumerate(rows):
            examples = found[row.model.name].examples[primary]
            example = next((e for e in examples if e.sample_id == sample), None)
            _column(list(axes[:, place]), row, example)
        words = (f"sample {sample}", "perturbation", "spectrum")
        for axis, word in zip(axes[:, 0], words, strict=True):
            axis.set_ylabel(word, fontsize=7)
    return figure


def _common(rows: Sequence[Row], found: Mapping[str, Extras], attack: str) -> list[int]:
    """The samples that most models have an example of."""
    seen = Counter(e.sample_id for row in rows for e in found[row.model.name].examples[attack])
    return sorted(sorted(seen, key=lambda i: (-seen[i], i))[:SAMPLES])


def _column(axes: Sequence[Axes], row: Row, example: Example | None) -> None:
    for axis in axes:
        axis.set(xticks=[], yticks=[])
        axis.grid(False)
        for side in axis.spines.values():
            side.set_visible(False)
    if example is None:
        return
    axes[0].set_title(short(row).replace(" (", "\n("), fontsize=5.6, fontweight="normal")
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
    axes[1].set_title(f"L2 {norm:.3g}", fontsize=6, fontweight="normal", pad=2)


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
