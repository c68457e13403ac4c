"""The numbers of one result: what the board shows of it, attack by attack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.metrics import METRICS
from bench.results.read import Submission
from bench.stats.bootstrap import Bools, Floats
from bench.stats.intervals import Interval
from bench.stats.optimality import Optimality

WITH_INTERVAL = tuple(m.name for m in METRICS if m.shown == "interval")
"""Metrics whose means stand with an interval."""
ALONE = tuple(m.name for m in METRICS if m.shown == "mean")
"""Metrics whose means stand without an interval."""


@dataclass(frozen=True)
class Challenged:
    """Samples of an attack that others have found smaller perturbations of.

    Attributes:
        n: their number.
        largest: the largest share by which a distance is shorter than the attack's own; 1 where
            the attack had found none.
        who: who found them, by number of samples.
    """

    n: int
    largest: float
    who: tuple[str, ...]


@dataclass(frozen=True)
class AttackSummary:
    """One attack on one model.

    Attributes:
        samples: rows that are there.
        correct: clean-correct samples, all of them attacked.
        kept: fooled samples with a spectrum, over which spectra are averaged.
        success: share of the clean-correct that was fooled.
        norm: median norm over the clean-correct in the attack's own norm, unfooled infinite.
        means: metric -> mean over the kept samples, those that the board shows; without an
            interval where none is shown, and for one sample.
        hfx: a ratio of means.
        zero_grad: share of attacked samples whose loss gradient is exactly zero.
        broken: clean-correct samples on which attack or logits broke down, or no step could be
            taken: in no mean, and not fooled.
        stronger_pgd: share of the clean-correct that PGD in this norm fools within its budget
            while this minimal attack's norm exceeds it; NaN if there is no such pair.
        optimality: a minimal attack against the best known distances of the samples that its
            witnesses ran on; None without any.
        challenged: what others have found (`bench challenge`); None: nothing.
    """

    samples: int
    correct: int
    kept: int
    success: Interval
    norm: Interval
    means: Mapping[str, Interval]
    hfx: Interval
    zero_grad: float
    broken: int
    stronger_pgd: float = float("nan")
    optimality: Optimality | None = None
    challenged: Challenged | None = None

    @property
    def rfc(self) -> Interval:
        """Mean RFC of the perturbations."""
        return self.means["rfc"]

    @property
    def hfe(self) -> Interval:
        """Mean high-frequency energy."""
        return self.means["hfe"]

    @property
    def image_rfc(self) -> float:
        """Mean RFC of the clean images over the kept samples."""
        return self.means["image_rfc"].mean


@dataclass(frozen=True)
class ModelSummary:
    """One submission on the board.

    Attributes:
        submission: where it comes from.
        clean: clean accuracy over the protocol's samples.
        samples: number of samples of `clean`.
        attacks: attack name -> summary.
        incomplete: what of the protocol's samples is missing.
        reasons: every gate that it fails, `incomplete` included; empty if it passes.
        primary: (n,) RFC under the primary attack, for comparing models; 0 where not kept.
        primary_kept: (n,) bool.
    """

    submission: Submission
    clean: Interval
    samples: int
    attacks: Mapping[str, AttackSummary]
    incomplete: tuple[str, ...]
    reasons: tuple[str, ...]
    primary: Floats = field(repr=False)
    primary_kept: Bools = field(repr=False)

    @property
    def name(self) -> str:
        """`<model>[@random][@seedN]`."""
        return self.submission.name

    @property
    def control(self) -> bool:
        """Whether its weights are random."""
        return is_control(self.submission)

    @property
    def ranked(self) -> bool:
        """Whether it passes every gate."""
        return not self.reasons

    @property
    def weights(self) -> str:
        """SHA-256 of its weights."""
        return self.submission.metadata.weights_sha256

    @property
    def net(self) -> Mapping[str, Any]:
        """Architecture of a net of the paper (family, deep, relu, kernel_size), else empty."""
        return self.submission.metadata.net

    @property
    def own_seed(self) -> int:
        """Training seed of the weights that its entry names; 0 if it does not say."""
        weights = self.submission.metadata.entry.get("weights")
        found = weights.get("seed") if isinstance(weights, dict) and not self.control else None
        return found if isinstance(found, int) and found >= 0 else 0


def is_control(submission: Submission) -> bool:
    """Return whether a result is of random weights."""
    return submission.metadata.control or "@random" in submission.name
