"""The probe `gradient`: is the spectrum of the attack that of the gradient?

To first order a minimal perturbation is the gradient of the margin, so their spectra should agree;
where the boundary bends, or the box [0, 1] takes its share, they need not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from bench.entries.probes import Kind, Probe
from bench.probes.kinds import ATTACK, PERTURBATIONS

if TYPE_CHECKING:
    from bench.measure.job import Job
    from bench.probes.report import Report
    from bench.probes.tables import Subject

LOSS, MARGIN = "loss", "margin"
FIELDS = (LOSS, MARGIN, *PERTURBATIONS)
"""Whose spectrum is measured: gradients of the cross-entropy and of the margin at the clean image,
the minimal perturbation, noise, and the clean image."""
PROFILES = (LOSS, MARGIN, ATTACK, "image")
"""Of which the share of each band is stored."""
SAMPLES = "samples"


class Gradient(Probe):
    """Settings of the probe."""

    name: ClassVar[str] = "gradient"
    columns: ClassVar[Mapping[str, Kind]] = {
        **{f"{name}_rfc": "float" for name in FIELDS},
        **{f"{name}_bands": "floats" for name in PROFILES},
        "cos_loss": "float",
        "cos_margin": "float",
        "overlap_loss": "float",
        "overlap_margin": "float",
        "overlap_white": "float",
        "norm": "float",
    }
    """*_rfc: radial frequency centroid. *_bands: shares of energy, without DC, in the 8 bands of
    the probe `bands`. cos_*: cosine between the perturbation and minus the gradient. overlap_*: of
    the two power spectra p and q over all frequencies but DC, sum min(p, q): 1 where they are the
    same. norm: L2 of the perturbation. Without a perturbation that fools, its columns are null."""

    def parts(self, shape: tuple[int, int, int]) -> tuple[str, ...]:
        """One row a sample."""
        return (SAMPLES,)

    def measure(
        self, job: Job, part: str, ids: Sequence[int], control: bool
    ) -> Mapping[str, Sequence[Any]]:
        """Measure all spectra (`bench.probes.gradient.measure`)."""
        from bench.probes.gradient.measure import measure

        return measure(self, job, part, ids, control)

    def report(self, subjects: Sequence[Subject]) -> Report:
        """Correlations over samples, and over models."""
        from bench.probes.gradient.report import report

        return report(self, subjects)
