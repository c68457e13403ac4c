"""Training several nets in an engine's workers, one net a unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.run.engines.choice import Engine
from bench.run.engines.each import each
from bench.run.engines.slurm_jobs import Outcome
from bench.training.job import Trained
from bench.training.train import nets, train

PATHS = ("output", "data_dir")


@dataclass(frozen=True)
class Training:
    """One net to train.

    Attributes:
        model: its name.
        options: those of `bench.train`.
    """

    model: str
    options: Mapping[str, Any]


def train_one(unit: Training) -> Trained:
    """Train one net; what was interrupted goes on at its last epoch."""
    return train(unit.model, **unit.options)[0]


class Teller:
    """Is told how far it is; this one keeps quiet."""

    def ended(self, place: int, count: int, name: str, reason: str | None) -> None:
        """A net is trained, or is not for a reason; `place` of `count` have ended."""


def train_in(
    engine: Engine,
    model: str | Sequence[str],
    teller: Teller | None = None,
    poll: float = 2.0,
    **options: Any,
) -> list[Trained]:
    """Train nets in an engine's workers.

    Args:
        engine: which, with how many workers.
        model: names or patterns of nets.
        teller: is told as nets are trained.
        poll: seconds between two looks at SLURM's queue.
        **options: those of `bench.train`, but for its reporter.

    Returns:
        One record a model, in the order of the names.

    Raises:
        BenchError: nets that could not be trained, each with its reason; the others are.
    """
    names = [entry.name for entry in nets([model] if isinstance(model, str) else model)]
    for key in PATHS:
        if options.get(key) is not None:
            options[key] = str(Path(options[key]).absolute())
    units = [Training(name, options) for name in names]
    ended: list[int] = []
    tell = (teller or Teller()).ended

    def done(place: int, outcome: Outcome) -> None:
        ended.append(place)
        tell(len(ended), len(names), names[place], outcome.reason)

    folder = Path(options.get("output") or "results").absolute() / ".slurm"
    found = each(engine, train_one, units, folder, done, poll)
    failed = [f"{n}: {o.reason}" for n, o in zip(names, found, strict=True) if o.reason is not None]
    if failed:
        raise BenchError(
            f"expected {len(names)} nets trained, found {len(failed)} that could not be: "
            + "; ".join(failed)
        )
    return [outcome.value for outcome in found]
