"""Clean image, perturbation and its spectrum for sample images, model by model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.figures.mark import Mark
from bench.figures.style import bare
from bench.grid import above_white, power_without_dc
from bench.results.extras import Array, Example

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CAPTION = (
    "Samples, model by model: the clean image, the minimal L2 perturbation (each on its own "
    "symmetric scale, its norm above) and its spectrum (zero frequency in the centre, two decades "
    "below and above white noise)."
)


@dataclass(frozen=True)
class Examples:
    """A column of pictures for each model.

    Attributes:
        samples: sample ids, at least one.
        models: at least one: sample id -> example, where the model has it.
    """

    samples: Sequence[int]
    models: Sequence[tuple[Mark, Mapping[int, Example]]]

    def draw(self) -> Figure:
        """Draw three lines of pictures for each sample."""
        from matplotlib.figure import Figure

        count = len(self.models)
        size = (1.12 * count + 0.4, 3.4 * len(self.samples) + 0.2)
        figure = Figure(figsize=size, layout="constrained")
        parts = figure.subfigures(len(self.samples), 1, squeeze=False).ravel()
        for part, sample in zip(parts, self.samples, strict=True):
            axes = part.subplots(3, count, squeeze=False)
            for place, (mark, examples) in enumerate(self.models):
                _column(list(axes[:, place]), mark.label, examples.get(sample))
            words = (f"sample {sample}", "perturbation", "spectrum")
            for axis, word in zip(axes[:, 0], words, strict=True):
                axis.set_ylabel(word, fontsize=7)
        return figure


def _column(axes: Sequence[Axes], label: str, example: Example | None) -> None:
    for axis in axes:
        bare(axis)
    if example is None:
        return
    axes[0].set_title(label.replace(" (", "\n("), fontsize=5.6, fontweight="normal")
    delta = example.delta
    largest = float(np.abs(delta).max()) or 1.0
    norm = float(np.sqrt((delta**2).sum()))
    axes[0].imshow(colour(example.image), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    if delta.shape[0] == 1:
        axes[1].imshow(
            delta[0], cmap="RdBu_r", vmin=-largest, vmax=largest, interpolation="nearest"
        )
    else:
        axes[1].imshow(colour(0.5 + delta / (2 * largest)), interpolation="nearest")
    axes[2].imshow(spectrum(delta), cmap="RdBu_r", vmin=-2, vmax=2, interpolation="nearest")
    axes[1].set_title(f"L2 {norm:.3g}", fontsize=6, fontweight="normal", pad=2)


def spectrum(delta: Array) -> Array:
    """Return log10 of the power relative to white noise, (H, W), shifted; NaN at DC."""
    power = power_without_dc(delta).reshape(delta.shape[1:])
    with np.errstate(divide="ignore", invalid="ignore"):  # a perturbation of zeros
        result = above_white(power / power.sum())
    result[0, 0] = np.nan
    shifted: Array = np.fft.fftshift(result)
    return shifted


def colour(image: Array) -> Array:
    """Return an image (C, H, W) as matplotlib shows it: (H, W), or (H, W, 3)."""
    picture = np.clip(image, 0, 1)
    return picture[0] if len(picture) == 1 else np.moveaxis(picture[:3], 0, -1)
