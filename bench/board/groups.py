"""The second table: families and model types, with intervals over models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bench.board.build import Row, Table
from bench.stats.intervals import Interval


@dataclass(frozen=True)
class Group:
    """Models of one family or type in one table.

    Attributes:
        name: family or type.
        models: how many ranked models.
        rfc, hfx, clean: mean over these models with its 95 % interval over models.
        controls: how many untrained controls.
        control_rfc: their mean RFC.
    """

    name: str
    models: int
    rfc: Interval
    hfx: Interval
    clean: Interval
    controls: int
    control_rfc: Interval


def over_models(values: Sequence[float], low: float = -np.inf, high: float = np.inf) -> Interval:
    """Return the mean over models with its 95 % t interval; no interval for one model.

    Args:
        values: one a model.
        low, high: range of the quantity, which bounds the interval.
    """
    from scipy.special import stdtrit

    if not values:
        return Interval(np.nan, np.nan, np.nan)
    mean, n = float(np.mean(values)), len(values)
    if n == 1:
        return Interval(mean, np.nan, np.nan)
    half = float(stdtrit(n - 1, 0.975)) * float(np.std(values, ddof=1)) / n**0.5
    return Interval(mean, max(low, mean - half), min(high, mean + half))


def groups(table: Table, by: Literal["family", "type"]) -> list[Group]:
    """Return the groups that have a ranked model, lowest mean RFC first."""
    primary = table.rules.primary

    def mean(rows: Sequence[Row], name: Literal["rfc", "hfx"]) -> Interval:
        bounds = (0.0, 2**0.5) if name == "rfc" else (-np.inf, np.inf)
        return over_models([getattr(r.model.attacks[primary], name).mean for r in rows], *bounds)

    ranked, controls = _members(table.ranked, by), _members(table.unranked, by)
    found = []
    for name, members in ranked.items():
        untrained = [
            r
            for r in controls.get(name, [])
            if r.model.control and r.model.attacks[primary].kept > 0
        ]
        found.append(
            Group(
                name=name,
                models=len(members),
                rfc=mean(members, "rfc"),
                hfx=mean(members, "hfx"),
                clean=over_models([r.model.clean.mean for r in members], 0.0, 1.0),
                controls=len(untrained),
                control_rfc=mean(untrained, "rfc"),
            )
        )
    return sorted(found, key=lambda g: (g.rfc.mean, g.name))


def _members(rows: Sequence[Row], by: str) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(str(getattr(row.model.submission.metadata, by)), []).append(row)
    return found
