"""What one table holds results to: the protocol on one data set and one input size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench import registry
from bench.entries import AttackSpec, DatasetEntry, Gates, Protocol
from bench.errors import BenchError
from bench.resampling import Floats


@dataclass(frozen=True)
class Rules:
    """One protocol on one data set, as the registry states it now.

    Attributes:
        protocol: the protocol's entry.
        dataset: the data set's entry.
        hash: SHA-256 of the protocol's normative fields for this data set.
        ids: the sample ids, in the protocol's order.
    """

    protocol: Protocol
    dataset: DatasetEntry
    hash: str
    ids: tuple[int, ...]

    @property
    def attacks(self) -> Mapping[str, AttackSpec]:
        """Attack name -> settings, in the protocol's order."""
        return self.protocol.attacks

    @property
    def primary(self) -> str:
        """Name of the attack that ranks."""
        return self.protocol.primary_attack

    @property
    def gates(self) -> Gates:
        """What a result must reach to be ranked."""
        return self.protocol.gates


def rules(protocol: str, dataset: str) -> Rules:
    """Return the rules of a protocol on a data set.

    Raises:
        BenchError: the registry does not have one of them.
    """
    return _rules(protocol, dataset, registry.registry_dir())


@cache
def _rules(protocol: str, dataset: str, root: Path) -> Rules:
    """The hash covers every sample id, so it is worked out once for each registry."""
    found, data = registry.protocol(protocol), registry.dataset(dataset)
    return Rules(found, data, found.hash(dataset), found.sample_ids(dataset))


def rules_for(metadata: Mapping[str, Any]) -> Rules:
    """Return the rules that a result was measured under.

    Raises:
        BenchError: protocol or data set unknown, or the protocol has changed since.
    """
    current = rules(str(metadata.get("protocol")), str(metadata.get("dataset")))
    found = str(metadata.get("protocol_hash"))
    if found != current.hash:
        raise BenchError(
            f"expected protocol hash {current.hash[:12]} ({current.protocol.name} as the registry "
            f"has it), found {found[:12]}; measure it again"
        )
    return current


@cache
def white_rfc(height: int, width: int) -> float:
    """Return the exact RFC of white noise of an image size: the mean radius without DC."""
    radius = radii(height, width)
    return float(radius.sum() / (radius.size - 1))


def radii(height: int, width: int) -> Floats:
    """Return (H, W) radii in units of Nyquist, DC at [0, 0]."""
    fy, fx = np.fft.fftfreq(height), np.fft.fftfreq(width)
    result: Floats = 2.0 * np.hypot(fy[:, None], fx[None, :])
    return result


BINS = 64
"""Radial bins over [0, sqrt 2] of Nyquist in the column radial_energy."""


@cache
def frequency_bins(height: int, width: int) -> npt.NDArray[np.int64]:
    """Return the radial bin of each frequency, (H * W,), in the order of numpy's FFT.

    In whole numbers, so that no rounding moves a frequency over a bin's edge:
    r = 2 sqrt(key) / (H W) and its bin is floor(64 r / sqrt 2).
    """
    ky = np.rint(np.fft.fftfreq(height, 1 / height)).astype(int)
    kx = np.rint(np.fft.fftfreq(width, 1 / width)).astype(int)
    key = ((ky[:, None] * width) ** 2 + (kx[None, :] * height) ** 2).ravel()
    distinct, place = np.unique(key, return_inverse=True)
    bins = [math.isqrt(8192 * int(k) // (height * width) ** 2) for k in distinct]
    result: npt.NDArray[np.int64] = np.minimum(bins, BINS - 1)[place]
    return result
