"""The numbers of one result, attack by attack: what `bench eval` prints and `bench.summary` gives.

Intervals are over the images, for these weights (95 %): Wilson for shares, order statistics for
the median, bootstrap with the protocol's seed for means.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.show.result import Result
from bench.stats.intervals import (
    NOTHING,
    Interval,
    mean_interval,
    median_norm_interval,
    proportion_interval,
)


@dataclass(frozen=True)
class Numbers:
    """One attack on one model.

    Attributes:
        attack, norm: its name and own norm.
        witness: whether it only tests the minimal attacks, on a subset of the samples.
        minimal: whether it looks for the smallest perturbation.
        samples: rows that are there.
        correct: clean-correct samples, all of them attacked.
        kept: clean-correct and fooled, with a spectrum.
        clean: clean accuracy; none of a witness, which is given clean-correct samples only.
        success: share of the clean-correct that was fooled.
        median: of the norm over the clean-correct, an unfooled one being infinite.
        rfc, hfe: means over the kept.
        image_rfc: mean RFC of the clean images over the kept.
    """

    attack: str
    norm: str
    witness: bool
    minimal: bool
    samples: int
    correct: int
    kept: int
    clean: Interval
    success: Interval
    median: Interval
    rfc: Interval
    hfe: Interval
    image_rfc: float


def numbers(result: Result) -> list[Numbers]:
    """Return the numbers of every attack of a result, in the protocol's order."""
    return [_of(result, attack) for attack in result.attacks]


def _of(result: Result, attack: str) -> Numbers:
    rows, spec, seed = result.attacks[attack], result.settings[attack], result.protocol.seed
    kept, count, correct = rows.kept, len(rows.sample_id), int(rows.clean_correct.sum())
    images, witness = rows.values["image_rfc"][kept], attack in result.protocol.witnesses
    return Numbers(
        attack=attack,
        norm=spec.norm,
        witness=witness,
        minimal=spec.minimal,
        samples=count,
        correct=correct,
        kept=int(kept.sum()),
        clean=NOTHING if witness else proportion_interval(correct, count),
        success=proportion_interval(int(rows.fooled.sum()), correct),
        median=median_norm_interval(rows.norm, rows.fooled, rows.clean_correct),
        rfc=mean_interval(rows.values["rfc"], kept, seed),
        hfe=mean_interval(rows.values["hfe"], kept, seed),
        image_rfc=float(np.nanmean(images)) if len(images) else float("nan"),
    )
