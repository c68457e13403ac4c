"""Light and dark: the inks of a figure that is shown on a page of either kind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Ink:
    """The colours that are not data's.

    Attributes:
        back: behind everything.
        text: of titles, labels, and the one model that is shown.
        quiet: of axes and notes.
        grid: of the grid.
        clean: of the clean images' line.
    """

    back: str
    text: str
    quiet: str
    grid: str
    clean: str

    @contextmanager
    def used(self) -> Iterator[None]:
        """Draw with these inks for a while."""
        import matplotlib as mpl

        style: dict[str, Any] = {
            "figure.facecolor": self.back,
            "savefig.facecolor": self.back,
            "axes.facecolor": self.back,
            "text.color": self.text,
            "axes.labelcolor": self.text,
            "axes.titlecolor": self.text,
            "axes.edgecolor": self.quiet,
            "xtick.color": self.quiet,
            "ytick.color": self.quiet,
            "grid.color": self.grid,
            "font.size": 9.5,
            "axes.titlesize": 10.5,
            "legend.fontsize": 8.5,
        }
        with mpl.rc_context(style):  # type: ignore[arg-type]
            yield


LIGHT = Ink("#ffffff", "#1b1b1b", "#5a5a5a", "#e6e6e6", "#a9a9a9")
DARK = Ink("#16181c", "#f0f0f0", "#a8adb5", "#33373e", "#7d838c")
