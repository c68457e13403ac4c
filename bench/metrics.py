"""The table of per-sample quantities: all that the project knows of each column, in one place.

One row of :data:`METRICS` is one column of the result file. To add a metric, add a row at the end
whose `since` is one more than the last: schema, measuring, checks, submissions, board and lists
read it from here, and files that were written before have null there. Nothing heavy is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from math import inf, log, sqrt
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Measured:
    """One attacked batch, as the metrics see it; everything on one device.

    Attributes:
        clean: (B, C, H, W) float32 in [0, 1].
        adversarial: (B, C, H, W) float32 in [0, 1].
        delta: (B, C, H, W) float64, their difference as float32, widened.
        spectrum: spectral metrics of delta (see bench.spectrum).
        image_rfc: (B,) float64, RFC of the clean images.
        grad_rfc: (B,) float64, RFC of the loss gradient at the clean images.
    """

    clean: Tensor
    adversarial: Tensor
    delta: Tensor
    spectrum: Mapping[str, Tensor]
    image_rfc: Tensor
    grad_rfc: Tensor


class Missing(Enum):
    """When a measured perturbation does not have a quantity (what was not measured has none)."""

    NEVER = "never"
    ZERO_DELTA = "zero perturbation"
    NO_POWER = "no power outside DC"
    ZERO_GRADIENT = "gradient without power outside DC"
    FLAT_IMAGE = "image without power outside DC"


Direction = Literal["larger: harder to fool", "larger: higher frequency", "none"]


@dataclass(frozen=True)
class Tolerance:
    """How far apart two honest measurements of a column may be (another machine, other batches).

    Attributes:
        absolute: in the column's unit; of a profile the sum of the 64 differences counts.
        relative: that much more, as a share of the stated value.
    """

    absolute: float
    relative: float = 0.0


@dataclass(frozen=True)
class Metric:
    """One column of the result file.

    Attributes:
        name: column name.
        unit: unit, for people.
        low, high: range, both ends included; the image's size bounds norms further.
        direction: what a larger value means.
        missing: when a measured perturbation does not have it.
        meaning: one line.
        values: Measured -> (B,) or (B, length) tensor; NaN where it does not exist.
        tolerance: what `bench verify` grants the column.
        since: metrics version that it came with; files of earlier versions have null.
        definition: rises only if the meaning of the column changes; columns of an earlier
            definition are read as missing.
        length: None for a number, 64 for a profile.
        gaps: a profile whose places are NaN where no frequency falls into them.
        shown: how the board shows its mean over the kept samples: with an interval, alone, or not.
    """

    name: str
    unit: str
    low: float
    high: float
    direction: Direction
    missing: Missing
    meaning: str
    values: Callable[[Measured], Tensor]
    since: int = 1
    definition: int = 1
    tolerance: Tolerance = Tolerance(5e-3)
    length: int | None = None
    gaps: bool = False
    shown: Literal["interval", "mean"] | None = None

    @property
    def range(self) -> str:
        """The range for people."""
        top = {1.0: "1", CORNER: "sqrt 2", inf: "inf"}.get(self.high, f"{self.high:g}")
        return f"[{self.low:.4g}, {top}{')' if self.high == inf else ']'}"


def _flat(m: Measured) -> Tensor:
    return m.delta.flatten(1)


def _clip_share(m: Measured) -> Tensor:
    def at_bound(x: Tensor) -> Tensor:
        return (x <= 0) | (x >= 1)

    return (at_bound(m.adversarial) & ~at_bound(m.clean)).flatten(1).double().mean(dim=1)


def _spectral(name: str) -> Callable[[Measured], Tensor]:
    return lambda m: m.spectrum[name]


CORNER = sqrt(2.0)
"""Largest radius of a frequency, in units of Nyquist."""
FLOOR = log(1e-12)
"""Smallest log amplitude."""

_HIGH: Direction = "larger: higher frequency"
_HARD: Direction = "larger: harder to fool"
_NEVER, _ZERO, _FLAT = Missing.NEVER, Missing.ZERO_DELTA, Missing.NO_POWER
_PIXELS = "[0,1] pixels"

# Other batches and older code, on 430 rows of the paper's nets and two untrained ones: 99 % of the
# rows are within .001 in RFC, .0007 in L2, .004 in shares, .02 in the sum over radial_energy's bins
_SHARE = Tolerance(5e-3)
_NORM = Tolerance(0.0, relative=1e-3)
"""Design contract, "Invariance", as the RFC's .001: they hold for 99 % of the samples."""
_LARGEST = Tolerance(0.0, relative=3e-3)
"""One value decides it."""
_STEP = Tolerance(2e-2)
"""f50 moves from one radius of the frequency grid to the next or not at all."""

METRICS: tuple[Metric, ...] = (
    Metric(
        "l0", "values", 0, inf, _HARD, _NEVER,
        "input values that changed",
        lambda m: (_flat(m) != 0).sum(1),
        tolerance=Tolerance(2.0, relative=1e-2),
    ),
    Metric(
        "l1", _PIXELS, 0, inf, _HARD, _NEVER,
        "sum of |delta|",
        lambda m: _flat(m).abs().sum(1),
        tolerance=_NORM,
    ),
    Metric(
        "l2", _PIXELS, 0, inf, _HARD, _NEVER,
        "Euclidean norm",
        lambda m: _flat(m).norm(dim=1),
        tolerance=_NORM,
    ),
    Metric(
        "linf", _PIXELS, 0, 1, _HARD, _NEVER,
        "largest |delta|",
        lambda m: _flat(m).abs().amax(1),
        tolerance=_LARGEST,
    ),
    Metric(
        "clip_share", "share", 0, 1, "none", _NEVER,
        "share of values newly at 0 or 1",
        _clip_share,
        tolerance=_SHARE,
    ),
    Metric(
        "rfc", "Nyquist", 0, CORNER, _HIGH, _FLAT,
        "radial frequency centroid (primary)",
        _spectral("rfc"), shown="interval",
        tolerance=Tolerance(1e-3),
    ),
    Metric(
        "hfe", "share", 0, 1, _HIGH, _FLAT,
        "energy share above half of Nyquist",
        _spectral("hfe"), shown="interval",
        tolerance=_SHARE,
    ),
    Metric(
        "f50", "Nyquist", 0, CORNER, _HIGH, _FLAT,
        "radius that holds half of the energy",
        _spectral("f50"),
        tolerance=_STEP,
    ),
    Metric(
        "kappa_high", "share", 0, 1, _HIGH, _ZERO,
        "share of the norm outside the low-frequency box (kappa-hat of the supplement)",
        _spectral("kappa_high"),
        tolerance=_SHARE,
    ),
    Metric(
        "dc_share", "share", 0, 1, "none", _ZERO,
        "energy share at zero frequency",
        _spectral("dc_share"),
        tolerance=_SHARE,
    ),
    Metric(
        "axis_share", "share", 0, 1, "none", _FLAT,
        "energy share within 22.5 degrees of an axis (white: .41)",
        _spectral("axis_share"),
        tolerance=_SHARE,
    ),
    Metric(
        "entropy", "share", 0, 1, "none", _FLAT,
        "spectral entropy",
        _spectral("entropy"),
        tolerance=_SHARE,
    ),
    Metric(
        "image_rfc", "Nyquist", 0, CORNER, "none", Missing.FLAT_IMAGE,
        "RFC of the clean image",
        lambda m: m.image_rfc, shown="mean",
        tolerance=Tolerance(1e-4),
    ),
    Metric(
        "grad_rfc", "Nyquist", 0, CORNER, _HIGH, Missing.ZERO_GRADIENT,
        "RFC of the loss gradient (GSC)",
        lambda m: m.grad_rfc,
        tolerance=Tolerance(1e-3),
    ),
    Metric(
        "radial_energy", "share", 0, 1, "none", _FLAT,
        "energy share in 64 radial bins over [0, sqrt 2] Nyquist",
        _spectral("radial_energy"), length=64,
        tolerance=Tolerance(3e-2),
    ),
    Metric(
        "log_luma_profile", "ln amplitude", FLOOR, inf, "none", _ZERO,
        "mean log amplitude of the luma in 64 rings",
        _spectral("log_luma_profile"), length=64, gaps=True,
        tolerance=Tolerance(3.0),
    ),
)  # fmt: skip

NORMS = ("l0", "l1", "l2", "linf")
"""Metrics that are norms of the perturbation."""


def by_name() -> dict[str, Metric]:
    """Return every metric by its name, in the order of the columns."""
    return {metric.name: metric for metric in METRICS}


def definitions(version: int | None = None) -> dict[str, int]:
    """Return name -> definition of the metrics of a version (None: the present one).

    A file states them, so that a reader knows what its columns are.
    """
    return {m.name: m.definition for m in METRICS if version is None or m.since <= version}


FIRST = {m.name: 1 for m in METRICS if m.since == 1}
"""What files hold that do not state their metrics: those of version 1, as defined then."""


def readable(stated: Mapping[str, int]) -> tuple[Metric, ...]:
    """Return the metrics that a file has in their present meaning.

    Args:
        stated: name -> definition, as the file says.
    """
    return tuple(m for m in METRICS if stated.get(m.name) == m.definition)
