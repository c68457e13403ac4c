"""What an engine that is handed calls must be able to do: workers, calls to them, answers.

A worker is an object of a given class in a process of its own, that takes one call after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Kind:
    """The class of a pool's workers, which each process makes for itself.

    Attributes:
        maker: a class or function at the top level of a module, so that it travels by its name.
        arguments: what it is made with.
    """

    maker: Any
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Answer:
    """What came of a call.

    Attributes:
        worker: whose it was.
        value: what the call returned; None after an error.
        error: what it raised.
        died: the worker's process ended meanwhile; `error` says how. It needs `renew`.
    """

    worker: int
    value: Any = None
    error: BaseException | None = None
    died: bool = False


class Pool(Protocol):
    """Workers of an engine."""

    count: int
    """How many they are, 0 to count - 1."""

    def call(self, worker: int, method: str, *arguments: Any) -> None:
        """Let an idle worker call one of its methods. The first call may wait for its start."""

    def answers(self, seconds: float) -> Sequence[Answer]:
        """Wait for answers; none came if there is none after so long."""

    def renew(self, worker: int) -> None:
        """End a worker's process, if there is one, and start another in its place."""

    def close(self) -> None:
        """End all workers at once; a second time does nothing."""
