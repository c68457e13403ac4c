"""What the pictures of a submission must be: example images in full, the mean map by its sample.

Everything here is arrays in, text out; measuring is in :mod:`bench.submissions.verify.remeasure`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

IMAGE_TOLERANCE = 1 / 255 + 1e-6
"""Largest difference of a pixel: a resized image may round the other way elsewhere."""
COSINE = 0.9
"""Least cosine of an example's perturbation and the one that is measured again."""
CLASS_MARGIN = 1e-3
"""An example's class may fall short of the largest logit by that share of the logits' spread."""
MAP_SLACK = 0.05
"""A stated map may explain the measured ones worse than its own rings do by that much a cell. Four
or more true maps of the paper's nets are explained better by .04 to .2 a cell, one by -.04 to .2;
rings painted with a contrast of .7 are explained worse by .1 to .5."""


def image_problem(stated: Array, image: Array) -> str | None:
    """Return what is wrong with an example's clean image, (C, H, W) in [0, 1]."""
    if stated.shape != image.shape:
        return f"its image is {stated.shape}, found {image.shape}"
    off = float(np.abs(stated - image).max())
    return None if off <= IMAGE_TOLERANCE else f"its image differs from the data set's by {off:.3g}"


def class_problem(logits: Array, label: int, stated: int) -> str | None:
    """Return what is wrong with the class of an example's adversarial image.

    Args:
        logits: (classes,) of clean image plus perturbation.
        label: the sample's.
        stated: adv_pred of the example's row.
    """
    if stated == label or not 0 <= stated < len(logits):
        return f"its row says class {stated} of label {label}"
    short = float(logits.max() - logits[stated]) / max(float(np.ptp(logits)), 1e-12)
    return None if short <= CLASS_MARGIN else f"class {stated} stated, {logits.argmax()} found"


def cosine(a: Array, b: Array) -> float:
    """Return the cosine of two perturbations of one shape; 0 if one of them is zero."""
    x, y = (np.asarray(v, dtype=np.float64).ravel() for v in (a, b))
    size = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(x @ y) / size if size > 0 else 0.0


def delta_problem(stated: Array, found: Sequence[Array]) -> str | None:
    """Return what is wrong with an example's perturbation against those measured here."""
    best = max((cosine(stated, one) for one in found if one.shape == stated.shape), default=0.0)
    return None if best >= COSINE else f"its perturbation has cosine {best:.2f} with the measured"


def map_problem(stated: Array, n: int, found: Sequence[Array], rings: Array) -> str | None:
    """Return what is wrong with a mean map, as far as a sample of its maps can show.

    Two things hold for the true mean of n maps. Each cell is at least the measured maps' part of
    it, since no map is negative. And of two means with the same rings the true one explains
    measured maps better: an energy p of a cell with mean m costs p / m - ln(p / m) - 1 (Itakura
    and Saito), so what is painted into the rings costs about half of its squared contrast.

    Args:
        stated: (h, w) mean map, fftshifted.
        n: number of maps that it is the mean of.
        found: maps of some of its samples, (h, w) each.
        rings: (h, w) number of each cell's ring.
    """
    if not found or n < 1:
        return None
    total = np.sum(found, axis=0)
    if len(found) <= n and bool((stated * n < total - 1e-3 * total.max()).any()):
        return "a cell has less than the measured samples' part of it"
    inner = rings >= 0
    place = rings[inner]
    sums = np.bincount(place, weights=stated[inner])
    mean = (sums / np.maximum(np.bincount(place), 1))[place]
    floor = 1e-3 * np.maximum(mean, mean[mean > 0].min(initial=1.0))
    p, told = total[inner] / len(found), np.maximum(stated[inner], floor)
    mean = np.maximum(mean, floor)
    excess = float((p / told + np.log(told) - p / mean - np.log(mean)).mean())
    if excess > MAP_SLACK:
        return f"it explains {len(found)} measured maps worse than its own rings do ({excess:.2f})"
    return None
