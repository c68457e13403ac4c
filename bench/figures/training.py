"""The curves of a training run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Training:
    """Loss and accuracies by epoch.

    Attributes:
        title: of the figure.
        epochs: 1 for the first.
        loss: training loss.
        train_accuracy, test_accuracy: percent.
    """

    title: str
    epochs: Sequence[int]
    loss: Sequence[float]
    train_accuracy: Sequence[float]
    test_accuracy: Sequence[float]

    def draw(self) -> Figure:
        """Draw the loss beside both accuracies."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 3.2), layout="constrained")
        loss, accuracy = figure.subplots(1, 2)
        figure.suptitle(self.title)
        loss.plot(self.epochs, self.loss, marker=".")
        loss.set(xlabel="epoch", ylabel="training loss", yscale="log")
        accuracy.plot(self.epochs, self.train_accuracy, marker=".", label="training")
        accuracy.plot(self.epochs, self.test_accuracy, marker=".", label="test")
        accuracy.set(xlabel="epoch", ylabel="accuracy (%)")
        accuracy.legend()
        return figure
