"""The numbers of one result: what the board shows of it, attack by attack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.results.read import Submission
from bench.stats.bootstrap import Bools, Floats
from bench.stats.intervals import Interval
from bench.stats.optimality import Optimality


@dataclass(frozen=True)
class AttackSummary:
    """One attack on one model.

    Attributes:
        samples: rows that are there.
        correct: clean-correct samples, all of them attacked.
        kept: fooled samples with a spectrum, over which spectra are averaged.
        success: share of the clean-correct that was fooled.
        norm: median norm over the clean-correct in the attack's own norm, unfooled infinite.
        rfc, hfe, hfx: means over the kept samples, without an interval for one; hfx is a ratio of
            means.
        image_rfc: mean RFC of the clean images over the kept samples.
        zero_grad: share of attacked samples whose loss gradient is exactly zero.
        broken: clean-correct samples on which attack or logits broke down, or no step could be
            taken: in no mean, and not fooled.
        stronger_pgd: share of the clean-correct that PGD in this norm fools within its budget
            while this minimal attack's norm exceeds it; NaN if there is no such pair.
        optimality: a minimal attack against its witnesses; None without any.
    """

    samples: int
    correct: int
    kept: int
    success: Interval
    norm: Interval
    rfc: Interval
    hfe: Interval
    hfx: Interval
    image_rfc: float
    zero_grad: float
    broken: int
    stronger_pgd: float = float("nan")
    optimality: Optimality | None = None


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
        """SHA-256 of its weights, "" if the file does not say it."""
        found = self.submission.metadata.get("weights_sha256")
        return found if isinstance(found, str) else ""

    @property
    def net(self) -> Mapping[str, Any]:
        """Architecture of a net of the paper (family, deep, relu, kernel_size), else empty."""
        found = self._entry.get("net")
        return found if isinstance(found, dict) else {}

    @property
    def own_seed(self) -> int:
        """Training seed of the weights that its entry names; 0 if it does not say."""
        weights = self._entry.get("weights")
        found = weights.get("seed") if isinstance(weights, dict) and not self.control else None
        return found if isinstance(found, int) and found >= 0 else 0

    @property
    def _entry(self) -> Mapping[str, Any]:
        found = self.submission.metadata.get("entry")
        return found if isinstance(found, dict) else {}


def is_control(submission: Submission) -> bool:
    """Return whether a result is of random weights."""
    return bool(submission.metadata.get("control")) or "@random" in submission.name
