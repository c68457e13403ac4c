"""The probe `bands`: the minimal L2 distance within each of 8 annuli of the spectrum.

The perturbation is held to a band in which min-l2's own search runs, without bounds of the images:
that is the distance proper, and has a closed form for affine models (margin / norm of the projected
weights). In [0, 1] a band can't be kept: half of an image may be 0, where a perturbation may only
be positive, and no band but DC's has such fields. So the box enters twice, and both are measured:
`clip_*` is a perturbation of the band through which the model sees images clipped to [0, 1], with
the share of energy that clipping moves out of the band (`clip_leak`); `inside_*` is the nearest one
that keeps band and box strictly, where there is any.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bench.entries.probes import Kind, Probe
from bench.grid import BANDS, band_numbers

if TYPE_CHECKING:
    from bench.measure.job import Job
    from bench.probes.report import Report
    from bench.probes.tables import Subject

ALL, DC = "all", "dc"
RAYS = 4
"""Random directions of each band and sample."""


class Bands(Probe):
    """Settings of the probe."""

    name: ClassVar[str] = "bands"
    columns: ClassVar[Mapping[str, Kind]] = {
        "dims": "whole",
        "image_share": "float",
        "gradient_share": "float",
        "distance": "float",
        "fooled": "flag",
        "stationary": "flag",
        "leak": "float",
        "gradients": "whole",
        "white": "floats",
        "pink": "float",
        "sign": "float",
        "image": "float",
        "pgd": "flags",
        "clip_distance": "float",
        "clip_l2": "float",
        "clip_leak": "float",
        "clip_fooled": "flag",
        "clip_stationary": "flag",
        "inside_distance": "float",
        "inside_leak": "float",
        "inside_fooled": "flag",
    }
    """dims: dimensions of the band, channels included. *_share: of energy in the band, of the clean
    image (DC included) and of the gradient of the margin there. distance: L2, without bounds;
    infinite if not fooled. stationary: the search ended at a stationary point. white, pink, sign,
    image: distance along white noise, 1/f noise, the sign of white noise and the clean image
    itself (either way), each projected to the band. pgd: fooled by PGD in the band at each budget.
    """

    budgets: tuple[float, ...] = (0.5, 1.0, 2.0)
    """L2 budgets of PGD, in [0, 1] pixel units."""
    pgd_steps: int = Field(default=20, ge=1)
    rays: int = Field(default=RAYS, ge=1)
    inside_steps: int = Field(default=6, ge=1)
    """Gradients of the search that keeps band and box."""

    def parts(self, shape: tuple[int, int, int]) -> tuple[str, ...]:
        """All frequencies, DC, and the bands that an image of this size has."""
        there = set(band_numbers(shape[1], shape[2]).tolist())
        return (ALL, DC, *(f"band-{k}" for k in range(1, BANDS + 1) if k in there))

    def measure(
        self, job: Job, part: str, ids: Sequence[int], control: bool
    ) -> Mapping[str, Sequence[Any]]:
        """Measure one band (`bench.probes.bands.measure`)."""
        from bench.probes.bands.measure import measure

        return measure(self, job, part, ids, control)

    def report(self, subjects: Sequence[Subject]) -> Report:
        """Distances relative to all frequencies and to random directions."""
        from bench.probes.bands.report import report

        return report(self, subjects)


def number_of(part: str) -> int | None:
    """Return the band 0 (DC) .. 8 of a part; None: all frequencies."""
    if part == ALL:
        return None
    return 0 if part == DC else int(part.removeprefix("band-"))
