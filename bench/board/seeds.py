"""Results of one model's training seeds, rolled up: a row of the board is a model, not a file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bench.board.numbers import ModelSummary
from bench.stats.bootstrap import Bools, Floats
from bench.stats.intervals import NOTHING, Interval
from bench.stats.recipes import FEWEST_SEEDS, recipe_mean

_SEED = re.compile(r"@seed([0-9]+)$")


@dataclass(frozen=True)
class Seeds:
    """One model (architecture and recipe) over its training seeds.

    Attributes:
        main: the result of its own weights; without one, of its lowest seed.
        counted: seed number -> result, those that count (see :func:`roll_up`).
        left_out: seed number -> why it does not count.
    """

    main: ModelSummary
    counted: Mapping[int, ModelSummary]
    left_out: Mapping[int, str]

    @property
    def name(self) -> str:
        """`<model>[@random]`."""
        return base_name(self.main.name)

    @property
    def enough(self) -> bool:
        """Whether there are seeds enough to speak of the recipe."""
        return len(self.counted) >= FEWEST_SEEDS

    @cached_property
    def values(self) -> tuple[Floats, Bools]:
        """(S, n) RFC under the primary attack, by seed number, and (S, n) kept."""
        order = sorted(self.counted)
        return (
            np.stack([self.counted[seed].primary for seed in order]),
            np.stack([self.counted[seed].primary_kept for seed in order]),
        )

    @property
    def common(self) -> int:
        """Number of sample ids that all counted seeds keep."""
        return int(self.values[1].all(axis=0).sum()) if self.counted else 0

    @cached_property
    def each(self) -> dict[int, float]:
        """Seed number -> mean RFC over the ids that all counted seeds keep."""
        if not self.common:
            return dict.fromkeys(sorted(self.counted), float("nan"))
        values, kept = self.values
        means = values[:, kept.all(axis=0)].mean(axis=1)
        return dict(zip(sorted(self.counted), map(float, means), strict=True))

    @cached_property
    def mean(self) -> Interval:
        """Mean RFC over seeds and images; no interval with fewer than three seeds."""
        return recipe_mean(*self.values) if self.counted else NOTHING

    @property
    def sd(self) -> float:
        """Standard deviation of the seeds' means on common ids; NaN with one seed."""
        means = list(self.each.values())
        return float(np.std(means, ddof=1)) if len(means) > 1 else float("nan")


def base_name(name: str) -> str:
    """Return `<model>[@random]` of `<model>[@random][@seedN]`."""
    return _SEED.sub("", name)


def seed_number(model: ModelSummary) -> int:
    """Return a result's training seed; a model's own weights say it in the entry, else 0."""
    found = _SEED.search(model.name)
    return int(found[1]) if found else model.own_seed


def roll_up(models: Iterable[ModelSummary]) -> list[Seeds]:
    """Return models with their training seeds, by name.

    A seed counts if it passes every gate; a control, that gates put aside anyway, if it is
    complete. The same weights twice are one seed.
    """
    members: dict[str, list[ModelSummary]] = {}
    for model in models:
        members.setdefault(base_name(model.name), []).append(model)
    return [_rolled(members[name]) for name in sorted(members)]


def alone(model: ModelSummary) -> Seeds:
    """Return a model whose other seeds were not measured."""
    return _rolled([model])


def _rolled(members: Sequence[ModelSummary]) -> Seeds:
    # its own weights first, then by number
    order = sorted(members, key=lambda m: (m.name != base_name(m.name), seed_number(m)))
    counted: dict[int, ModelSummary] = {}
    left_out: dict[int, str] = {}
    known: dict[str, int] = {}
    for model in order:
        seed = seed_number(model)
        reasons = model.incomplete if model.control else model.reasons
        if seed in counted or seed in left_out:
            continue
        if model.weights in known:
            left_out[seed] = f"the same weights as seed {known[model.weights]}"
        elif reasons:
            left_out[seed] = "; ".join(reasons)
        else:
            counted[seed] = model
            if model.weights:
                known[model.weights] = seed
    return Seeds(order[0], counted, left_out)
