"""One unit's failure is no other's: it is noted and said, and the run goes on with the rest."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable

from bench.errors import BenchError, BenchWarning
from bench.results.campaign import Unit
from bench.results.failures import TRIES, where
from bench.results.tables import Tables
from bench.results.workplace import Workplace

HOPELESS = 3
"""Different units that fail before any succeeds, after which it is not their fault."""
DEVICE = ("CUDA error", "CUDNN_STATUS", "cuDNN error", "CUBLAS_STATUS", "HIP error")
"""In the text of errors after which a process can't use its GPU any more."""


class Attempts:
    """What this process has tried.

    Args:
        place: where failures are noted.
    """

    def __init__(self, place: Workplace) -> None:
        self._place = place
        self._worked = False
        self._failed: set[str] = set()

    def of(self, unit: Unit, measure: Callable[[], Tables]) -> Tables | None:
        """Return what was measured of a unit; None: it failed, which was noted and said.

        Raises:
            BenchError: the device is gone, or everything fails: this process can't go on.
        """
        try:
            found = measure()
        except Exception as error:  # whatever a model's code, a library or a device raises
            self.failed(unit, error)
            if device_error(error):
                raise BenchError(
                    f"expected a device that works, got {said(error)!r} in {where(unit)}; what was "
                    "finished is kept: the same command goes on"
                ) from error
            return None
        self.worked()
        return found

    def worked(self) -> None:
        """A unit was measured."""
        self._worked = True

    def failed(self, unit: Unit, error: BaseException) -> None:
        """A unit was not: note it and say it.

        Raises:
            BenchError: nothing was measured yet, and this is not the first unit that failed.
        """
        reason = said(error)
        self._failed.add(unit.name)
        self._place.failures.add(unit, reason)
        if not self._worked and len(self._failed) >= HOPELESS:
            raise BenchError(
                f"expected units that can be measured, found that the first {HOPELESS} all "
                f"failed, the last one, {where(unit)}, with {reason!r}; correct what is said"
            ) from error
        warnings.warn(
            f"{where(unit)}: {reason}; it is tried {TRIES} times in all, after the others",
            BenchWarning,
            stacklevel=3,
        )


def said(error: BaseException) -> str:
    """Return an error in one line: what is meant for the user as it is, else kind, text, place."""
    text = " ".join(str(error).split())
    if isinstance(error, BenchError):
        return text
    frames = traceback.extract_tb(error.__traceback__)
    at = f" ({frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {text}{at}" if text else f"{type(error).__name__}{at}"


def device_error(error: BaseException) -> bool:
    """Return whether a process can use its device no more after an error."""
    return type(error).__name__ == "AcceleratorError" or any(t in str(error) for t in DEVICE)
