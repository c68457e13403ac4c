"""Is the clean accuracy of a whole test split the one that the model's entry states?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.entries.model import ModelEntry

TOLERANCE = 0.1
"""Percentage points; Table 4 has three decimals, and decoders and resizers differ a little."""


@dataclass(frozen=True)
class Stated:
    """An accuracy that somebody measured on the whole test split, in percent."""

    top1: float
    top5: float | None
    by: str
    """Where it is written."""


@dataclass(frozen=True)
class Accuracy:
    """Accuracy on clean images, in percent, beside the stated one.

    Attributes:
        top1: share of images whose label has the largest logit.
        top5: share of images whose label is among the five largest logits.
        n: number of images.
        stated: what it should be; None: nothing is stated for these images and weights.
    """

    top1: float
    top5: float
    n: int
    stated: Stated | None

    @property
    def agrees(self) -> bool | None:
        """Whether nothing differs by more than TOLERANCE; None: nothing to compare with."""
        if self.stated is None:
            return None
        pairs = [(self.top1, self.stated.top1)]
        pairs += [] if self.stated.top5 is None else [(self.top5, self.stated.top5)]
        # 80.5 - 80.4 is a little more than 0.1 in floats
        return all(abs(found - stated) <= TOLERANCE + 1e-9 for found, stated in pairs)

    def metadata(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        stated = None if self.stated is None else vars(self.stated)
        return {
            "top1": round(self.top1, 4),
            "top5": round(self.top5, 4),
            "n": self.n,
            "stated": stated,
            "agrees": self.agrees,
        }

    def __str__(self) -> str:
        """Return one line that compares; empty if nothing is stated."""
        if self.stated is None:
            return ""
        text = f"top-1 {self.stated.top1:.2f} %"
        found = f"top-1 {self.top1:.2f} %"
        if self.stated.top5 is not None:
            text += f" and top-5 {self.stated.top5:.2f} %"
            found += f" and top-5 {self.top5:.2f} %"
        if self.agrees:
            return f"agrees with {text} of {self.stated.by} (within {TOLERANCE} points)"
        return (
            f"expected {text} ({self.stated.by}), found {found} on all {self.n} images, more than "
            f"{TOLERANCE} points off; check weights, data and the evaluation transform"
        )


def accuracy_of(label_rank: npt.NDArray[np.int64], stated: Stated | None) -> Accuracy:
    """Return the accuracy of clean predictions.

    Args:
        label_rank: (N,) number of logits above the label's, N >= 1.
        stated: what it should be.
    """
    assert len(label_rank), "a run without images ends before"
    return Accuracy(
        top1=100 * float((label_rank < 1).mean()),
        top5=100 * float((label_rank < 5).mean()),
        n=len(label_rank),
        stated=stated,
    )


def stated_accuracy(entry: ModelEntry, kind: str, file_sha256: str | None) -> Stated | None:
    """Return the accuracy that an entry states for the weights that were loaded.

    The paper's accuracies are those of published weights for ImageNet models; the small nets are
    trained here again, so for them only what was measured of the entry's own weights counts.

    Args:
        entry: the model's entry.
        kind: of the weights: default, random or path.
        file_sha256: of the weights' file, if there is one.
    """
    weights, paper = entry.weights, entry.paper
    theirs = weights.sha256 if weights is not None else None
    same = theirs is not None and file_sha256 == theirs
    if not same and (kind != "default" or (theirs is not None and file_sha256 is not None)):
        return None
    if weights is not None and weights.test_accuracy is not None:
        return Stated(weights.test_accuracy, None, "the entry's test_accuracy")
    if paper is not None and entry.source != "net":
        return Stated(paper.top1, paper.top5, "Supplementary Table 4")
    return None
