"""The probe `heatmap`: what every real Fourier basis direction of a fixed norm does.

Source: Yin et al. 2019, A Fourier perspective on model robustness in computer vision,
https://arxiv.org/abs/1906.08988.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bench.entries.probes import Kind, Probe

if TYPE_CHECKING:
    from bench.measure.job import Job
    from bench.probes.report import Report
    from bench.probes.tables import Subject

FREE, CLIPPED = "free", "clipped"
DRAWS = 8
"""Noise images of each kind for each sample."""


class Heatmap(Probe):
    """Settings of the probe."""

    name: ClassVar[str] = "heatmap"
    columns: ClassVar[Mapping[str, Kind]] = {
        "margin": "float",
        "change": "halves",
        "wrong": "flags",
        "white": "flags",
        "pink": "flags",
        "sign": "flags",
        "image": "flags",
        "white_change": "float",
    }
    """margin: of the clean image, the reference's logit minus the largest other one. change: of the
    margin, for each mode of `bench.probes.modes.modes`; wrong: another class than the reference.
    white, pink, sign: the same for noise of the same norm, DRAWS of each; image: for the clean
    image itself without DC, both ways; white_change: mean change of the margin under white noise.
    Part "free": the perturbed image as it is; "clipped": clipped to [0, 1]."""

    rms_gray: float = Field(default=1 / 7, gt=0)
    """Root mean square of the perturbation of a gray image: a norm of 4 for 28 x 28 pixels. Most
    of these are drawings of high contrast, on which the norm for photographs does next to nothing.
    """
    rms_colour: float = Field(default=4 / 3072**0.5, gt=0)
    """The same of a colour image: Yin et al.'s norm of 4 on CIFAR-10."""
    draws: int = Field(default=DRAWS, ge=1)

    def norm(self, shape: tuple[int, int, int]) -> float:
        """Return the L2 norm of the perturbations of images (C, H, W)."""
        rms = self.rms_gray if shape[0] == 1 else self.rms_colour
        return float(rms * math.prod(shape) ** 0.5)

    def parts(self, shape: tuple[int, int, int]) -> tuple[str, ...]:
        """Images as they are, and clipped."""
        return FREE, CLIPPED

    def measure(
        self, job: Job, part: str, ids: Sequence[int], control: bool
    ) -> Mapping[str, Sequence[Any]]:
        """Measure all modes (`bench.probes.heatmap.measure`)."""
        from bench.probes.heatmap.measure import measure

        return measure(self, job, part, ids, control)

    def report(self, subjects: Sequence[Subject]) -> Report:
        """Maps, and the slope against radius."""
        from bench.probes.heatmap.report import report

        return report(self, subjects)
