"""How wide the interval of a mean will be, judged by what was measured of other models."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.errors import BenchError
from bench.results.read import find, read

MOST = 24
"""Results that are read."""


@dataclass(frozen=True)
class Spread:
    """What one measured model shows of an attack.

    Attributes:
        sd: standard deviation of the RFC over the kept samples.
        kept: share of the clean-correct samples that was kept, in (0, 1].
    """

    sd: float
    kept: float


@dataclass(frozen=True)
class Widths:
    """Half widths of the 95 % interval of a mean RFC.

    Attributes:
        low: of the measured model with the narrowest.
        high: of that with the widest.
        models: how many were measured.
        dataset: on which data set; None: no result to judge by.
    """

    low: float = math.nan
    high: float = math.nan
    models: int = 0
    dataset: str | None = None


def spreads(folder: str | None, protocol: str, dataset: str) -> tuple[str, dict[str, list[Spread]]]:
    """Return whose results were found, and attack -> what each of them shows.

    Args:
        folder: of submissions; None, or a URL: none is asked.
        protocol: its name.
        dataset: its results count, those of others where it has none.
    """
    paths = (
        []
        if folder is None
        else [
            path
            for path in find(Path(folder))
            if path.parts[-3] == protocol and "@" not in path.stem
        ]
    )
    own = [path for path in paths if path.parts[-2] == dataset]
    found: dict[str, list[Spread]] = {}
    whose = dataset
    for path in (own or paths)[:MOST]:
        try:
            submission, samples = read(path)
        except BenchError:
            continue
        whose = submission.rules.dataset.name
        for place, attack in enumerate(submission.rules.attacks):
            kept = samples.kept[place]
            right = int((samples.clean_correct[place] & samples.present[place]).sum())
            if kept.sum() < 2:
                continue
            sd = float(np.std(samples.quantities["rfc"][place][kept], ddof=1))
            found.setdefault(attack, []).append(Spread(sd, float(kept.sum()) / right))
    return whose, found


def widths(known: Mapping[str, list[Spread]], whose: str, attack: str, attacked: int) -> Widths:
    """Return the half widths that so many attacked samples would give, model by model."""
    found = known.get(attack, [])
    if not found or attacked < 1:
        return Widths()
    halves = [1.96 * one.sd / math.sqrt(max(attacked * one.kept, 1.0)) for one in found]
    return Widths(min(halves), max(halves), len(halves), whose)
