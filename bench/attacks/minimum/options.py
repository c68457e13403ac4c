"""The settings of the search for the minimal perturbation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Norm = Literal["l2", "linf"]


@dataclass(frozen=True)
class Options:
    """All settings; the defaults are those of the protocol."""

    cuts: int = 4
    """Linearisations that a pair of image and class keeps at once."""
    rounds: int = 4
    """Newton steps on the multipliers of the cuts, a fixed number for every sample."""
    steps: int = 60
    """Largest number of gradients for one pair from one start."""
    slack: float = 1.3
    """A class is tried if its first-order distance is below this multiple of the best so far."""
    lost: float = 1.1
    """A pair is given up where its model's distance is above this multiple of the best so far."""
    exact: float = 2e-4
    """Relative predicted gain below which a point is stationary ("kkt"), seen twice in a row."""
    slow: float = 5e-4
    """A pair that gains less than this, relative, in `patience` steps stops ("slow")."""
    patience: int = 8
    classes: int = 10
    """Gradients at the clean image come for so many other classes at a time, largest logits first;
    the next so many only where their margins leave them a chance."""
    most_classes: int = 40
    """No more classes than this are looked at."""
    pull: float = 1.0
    """Linf: how weakly a step is held at the best point (kappa of the proximal term)."""
    second_starts: int = 2
    """How often a search begins again elsewhere; 0: never."""
    rough: float = 1e-3
    """A search that ends while its cuts promise more than this, relative, is polished by a walk."""
    stationary: float = 5e-3
    """One that ends while they promise more than this is not stationary."""
    walk_steps: int = 200
    """Steps of a Brendel-Bethge walk, the polish and fallback; 0: none."""
