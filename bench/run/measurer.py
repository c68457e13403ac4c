"""What an engine's worker does: opens models and measures units; it touches no results.

It lives in a process of its own, on any machine, and keeps the model that it opened last. Requests
come as text and go back as plans and tables, which travel.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch

from bench.errors import BenchWarning
from bench.results.campaign import Unit
from bench.results.tables import Tables
from bench.run.local import measure
from bench.run.machine import threads, threads_for
from bench.run.open import Opened, open_model
from bench.run.plan import Plan
from bench.run.request import Request
from bench.run.run import Run, at_pace, plan_of

T = TypeVar("T")


@dataclass(frozen=True)
class Said:
    """What a call gave, with the warnings that it raised, for whoever asked."""

    value: Any
    warnings: tuple[str, ...]


class Measurer:
    """Measures units of requests.

    Args:
        threads: of torch, where the request's run has not noted another number.
    """

    def __init__(self, threads: int) -> None:
        torch.set_num_threads(threads)
        self._opened: tuple[str, Opened] | None = None
        self._run: tuple[Any, Run] | None = None

    def hello(self) -> None:
        """Be there."""

    def plan(self, request: str) -> Said:
        """Open a model; return the plan of its run.

        Raises:
            BenchError: the request is impossible.
        """
        return _listening(lambda: plan_of(self._open(request)))

    def pace(self, request: str, plan: Plan, noted: Any) -> Said:
        """Return the plan at its pace: the one that is noted, else one that is chosen here."""
        return _listening(lambda: self._at(request, plan, noted).plan)

    def measure(self, request: str, plan: Plan, unit: Unit) -> Said:
        """Return the tables of a unit.

        Args:
            request: what was asked for.
            plan: of it, at its pace.
            unit: what to measure.
        """
        return _listening(partial(self._measure, request, plan, unit))

    def _open(self, request: str) -> Opened:
        if self._opened is None or self._opened[0] != request:
            self._opened = self._run = None  # its memory is free before the next one comes
            self._opened = (request, open_model(Request.read(request)))
        return self._opened[1]

    def _at(self, request: str, plan: Plan, noted: Any) -> Run:
        opened = self._open(request)
        if self._run is None or self._run[0] != noted:
            run = at_pace(opened, plan, noted)
            self._run = (dict(run.plan.pace), run)
        return self._run[1]

    def _measure(self, request: str, plan: Plan, unit: Unit) -> Tables:
        run = self._at(request, plan, dict(plan.pace))
        values = min(run.job.batch_size, len(run.sample_ids)) * math.prod(run.loaded.input_shape)
        with threads(run.pace.threads), threads_for(values, run.job.device):
            return measure(run, unit, lambda samples: None)


def _listening(work: Callable[[], T]) -> Said:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        value = work()
    texts = [str(one.message) for one in caught if issubclass(one.category, BenchWarning)]
    return Said(value, tuple(texts))


def warn_again(said: Said) -> Any:
    """Raise a call's warnings here, and return its value."""
    for text in said.warnings:
        warnings.warn(text, BenchWarning, stacklevel=2)
    return said.value
