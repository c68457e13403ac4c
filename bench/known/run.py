"""All known values, one after the other."""

from __future__ import annotations

from collections.abc import Callable

import torch

from bench.known import minima, spectra, theory
from bench.known.value import Known, Line, measure

VALUES: tuple[Known, ...] = (*spectra.VALUES, *minima.VALUES, *theory.VALUES)


def selftest(device: torch.device, seen: Callable[[Line], None] = lambda line: None) -> list[Line]:
    """Measure every known value on a device.

    Args:
        device: where tensors are.
        seen: told of each line when it is there.
    """
    lines = []
    for known in VALUES:
        lines.append(measure(known, device))
        seen(lines[-1])
    return lines
