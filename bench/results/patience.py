"""Waiting for a storage that went away: what is tried again, for how long, and what never is."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from bench.errors import BenchError, BenchWarning

T = TypeVar("T")

AGAIN = (408, 409, 425, 429)
"""HTTP codes of a client's errors that pass by themselves: too early, too often, two at once."""
OURS = (TypeError, AttributeError, NotImplementedError, KeyError)
"""A mistake in a program, not in a storage; said as it is."""


@dataclass(frozen=True)
class Patience:
    """How long a storage that does not answer is waited for.

    Attributes:
        seconds: until it is given up.
        first: seconds before the second try; they double from try to try.
        longest: at most so many.
        quiet: seconds of waiting before the user is told.
        clock: seconds that only grow.
        sleep: how it waits.
    """

    seconds: float = 900.0
    first: float = 0.2
    longest: float = 10.0
    quiet: float = 5.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


SHORT = Patience(seconds=10.0, quiet=60.0)
"""For the first contact: a wrong address is said at once, not after a quarter of an hour."""


class Exists(Exception):
    """The file that was to be made is there already."""


class Trier:
    """Does things on a storage until they succeed, with growing pauses.

    Args:
        where: the storage, as the user calls it.
        patience: for how long.
    """

    def __init__(self, where: str, patience: Patience) -> None:
        self._where, self._patience = where, patience
        self._hopeless = False
        """Given up, or interrupted: what still is to be done on the way out is tried once."""

    def __call__(
        self, do: Callable[..., T], *args: Any, patience: Patience | None = None, **options: Any
    ) -> T:
        """Return what a call gives.

        Args:
            do: may be called several times: it must do the same, if it was done before.
            args: of it.
            patience: another than usual.
            options: of it, by name.

        Raises:
            FileNotFoundError: there is no such file.
            Exists: there is one already.
            BenchError: no right to do it, or the storage did not answer in time.
        """
        wait = patience or self._patience
        began, pause, told = wait.clock(), wait.first, False
        while True:
            try:
                found = do(*args, **options)
                self._hopeless = False
                return found
            except Exception as error:
                self._sort(error)
                passed = wait.clock() - began
                if self._hopeless or passed >= wait.seconds:
                    self._hopeless = True
                    raise self._gone(error, passed) from error
                reason = _reason(error)
            if not told and passed >= wait.quiet:
                told = True
                text = f"{self._where} does not answer ({reason}); waiting for it"
                warnings.warn(text, BenchWarning, stacklevel=2)
            try:
                wait.sleep(pause)
            except BaseException:
                self._hopeless = True
                raise
            pause = min(2 * pause, wait.longest)

    def _sort(self, error: Exception) -> None:
        """Raise what no waiting helps against; return if it may pass."""
        status, code = _answer(error)
        if isinstance(error, FileExistsError) or status == 412:
            raise Exists from error
        if code == "NoSuchBucket":
            self._refused(error, "make it first, or choose another place")
        if isinstance(error, FileNotFoundError):
            raise error
        if isinstance(error, OURS):
            raise error
        if isinstance(error, PermissionError) or "Credential" in type(error).__name__:
            self._refused(error, "get the right to read and write there, and state your key")
        if status is not None and 400 <= status < 500 and status not in AGAIN:
            self._refused(error, "choose another place")
        if isinstance(error, ValueError):
            self._refused(error, "correct the address")

    def _refused(self, error: Exception, advice: str) -> NoReturn:
        raise BenchError(
            f"expected to use {self._where}, found: {_reason(error)}; {advice}"
        ) from error

    def _gone(self, error: Exception, seconds: float) -> BenchError:
        return BenchError(
            f"expected an answer of {self._where}, got none in {seconds:.0f} s "
            f"({_reason(error)}); see that it runs and is reached from here. What was finished is "
            "kept: the same command goes on from there"
        )


def _answer(error: Exception) -> tuple[int | None, str | None]:
    """Return HTTP status and code of the answer that an error reports; None where there is none.

    Libraries of object stores keep it where botocore does; none of them is imported for that.
    """
    for one in (error, error.__cause__):
        response = getattr(one, "response", None)
        if isinstance(response, dict):
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            code = response.get("Error", {}).get("Code")
            return status if isinstance(status, int) else None, code
        status = getattr(one, "status", None) or getattr(one, "code", None)
        if isinstance(status, int):
            return status, None
    return None, None


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
