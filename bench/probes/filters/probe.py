"""The probe `filters`: which frequencies carry classification, and which carry the attack.

It is there to decide a claim of Chen et al. 2025 (Intriguing frequency interpretation of
adversarial robustness for CNNs and ViTs): that in convolutional nets the middle and high
frequencies of adversarial examples carry the attack, in transformers the low and middle ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bench.entries.probes import Kind, Probe
from bench.probes.kinds import PERTURBATIONS

if TYPE_CHECKING:
    from bench.measure.job import Job
    from bench.probes.report import Report
    from bench.probes.tables import Subject

IMAGES = "images"
CUTS = 16
"""Steps of the cutoff from 0 to sqrt 2."""
CUTOFFS = tuple(math.sqrt(2) * k / CUTS for k in range(1, CUTS))
"""r of the filters: low-pass keeps r <= cutoff with DC, high-pass the rest."""
EDGES = (math.sqrt(2) / 3, 2 * math.sqrt(2) / 3)
"""r between low, middle and high frequencies: thirds of the radius; DC is low."""
THIRDS = ("low", "middle", "high")


class Filters(Probe):
    """Settings of the probe."""

    name: ClassVar[str] = "filters"
    columns: ClassVar[Mapping[str, Kind]] = {
        "low": "flags",
        "high": "flags",
        "high_mean": "flags",
        "only": "flags",
        "without": "flags",
        "share": "floats",
        "multiple": "floats",
        "whole": "flag",
        "norm": "float",
    }
    """Part "images" (all samples): low, high: the low- or high-passed image has its reference, for
    each of CUTOFFS; high_mean: the high-passed one with its mean put back. Other parts: low, high:
    the low- or high-passed perturbation fools. only, without: the same for each third of the
    radius alone, and for the perturbation without it. share: of its energy in each third.
    multiple: how often each third of the minimal perturbation, or of noise of its norm, has to be
    taken to fool alone (`bench.probes.rays`; infinite beyond 64). whole: unfiltered. norm: L2 of
    the perturbation that is filtered. Nothing is clipped."""

    factor: float = Field(default=2.0, gt=1)
    """Minimal perturbations are filtered at so many times their length: at their own, whatever a
    filter takes away brings them back over the boundary."""

    def parts(self, shape: tuple[int, int, int]) -> tuple[str, ...]:
        """Images, the attack's perturbations, and controls of the same norm."""
        return IMAGES, *PERTURBATIONS

    def measure(
        self, job: Job, part: str, ids: Sequence[int], control: bool
    ) -> Mapping[str, Sequence[Any]]:
        """Measure one part (`bench.probes.filters.measure`)."""
        from bench.probes.filters.measure import measure

        return measure(self, job, part, ids, control)

    def report(self, subjects: Sequence[Subject]) -> Report:
        """Curves over the cutoff, and thirds."""
        from bench.probes.filters.report import report

        return report(self, subjects)
