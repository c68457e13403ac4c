"""Which cells a contrast compares: its sides, in all values of the factors that they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.entries.claims import Contrast, Selector
from bench.entries.factors import Factors, Value, matches
from bench.entries.study import Cell, Study
from bench.errors import BenchError

REQUIRED = tuple(name for name, field in Factors.model_fields.items() if field.is_required())
"""Factors without a usual value: where no side names one, it is shared."""


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    Attributes:
        weight: of its values.
        label: its name without what the sides share.
        cells: seed -> cell name.
    """

    weight: float
    label: str
    cells: Mapping[int, str]


@dataclass(frozen=True)
class Comparison:
    """A contrast at one combination of shared factors.

    Attributes:
        contrast: what it is of.
        where: the shared factors and their values.
        sides: with weights, two or more (one for an agreement).
    """

    contrast: Contrast
    where: tuple[tuple[str, Value], ...]
    sides: tuple[Side, ...]

    @property
    def words(self) -> tuple[str, ...]:
        """The shared values in words."""
        return tuple(_word(key, value) for key, value in self.where)


def comparisons(study: Study, contrast: Contrast) -> list[Comparison]:
    """Return the comparisons that a plan has of a contrast.

    Raises:
        BenchError: a side has two cells of one seed: it does not say which.
    """
    cells = [cell for block in study.blocks() for cell in block.cells]
    terms = _terms(contrast)
    named = {key for _, selector in terms for key in selector} | set(study.fixed)
    shared = (*contrast.by, *(k for k in REQUIRED if k not in named and k not in contrast.by))
    found = [_by_values(study, contrast, selector, cells, shared) for _, selector in terms]
    order = sorted(set.intersection(*(set(each) for each in found)), key=_sorted_key)
    return [
        Comparison(
            contrast,
            tuple(zip(shared, values, strict=True)),
            tuple(
                Side(weight, _label(cells, each[values], shared), each[values])
                for (weight, _), each in zip(terms, found, strict=True)
            ),
        )
        for values in order
    ]


def _terms(contrast: Contrast) -> list[tuple[float, Selector]]:
    """Return weight and selector of each side; weights of a trend are those of its line."""
    if contrast.kind == "trend":
        place = np.arange(len(contrast.levels)) - (len(contrast.levels) - 1) / 2
        weights = place / (place**2).sum() * (len(place) - 1)
        return [
            (float(w), {**contrast.left, **level})
            for w, level in zip(weights, contrast.levels, strict=True)
        ]
    if contrast.kind == "agreement":
        return [(1.0, contrast.left)]
    terms = [(1.0, contrast.left), (-1.0, contrast.right)]
    if contrast.less is not None:
        terms += [(-1.0, contrast.less[0]), (1.0, contrast.less[1])]
    return terms


def _by_values(
    study: Study,
    contrast: Contrast,
    selector: Selector,
    cells: Sequence[Cell],
    shared: Sequence[str],
) -> dict[tuple[Value, ...], dict[int, str]]:
    """Return values of the shared factors -> seed -> cell."""
    wanted = {**{k: v for k, v in study.fixed.items() if k not in shared}, **selector}
    found: dict[tuple[Value, ...], dict[int, str]] = {}
    for cell in cells:
        if not matches(cell.factors, wanted, shared):
            continue
        values = tuple(getattr(cell.factors, key) for key in shared)
        seeds = found.setdefault(values, {})
        if cell.seed in seeds:
            raise BenchError(
                f"expected one cell of a seed on each side of contrast {contrast.name!r}, found "
                f"{seeds[cell.seed]!r} and {cell.name!r}; name what tells them apart in the "
                f"study {study.name!r}"
            )
        seeds[cell.seed] = cell.name
    return found


def _label(cells: Sequence[Cell], seeds: Mapping[int, str], shared: Sequence[str]) -> str:
    first = next(cell for cell in cells if cell.name == min(seeds.values()))
    return first.factors.name_without(tuple(key for key in shared if key != "family"))


def _sorted_key(values: tuple[Value, ...]) -> tuple[tuple[str, float, str], ...]:
    return tuple(
        ("", float(v), "") if isinstance(v, bool | int | float) else ("s", 0.0, str(v))
        for v in values
    )


def _word(key: str, value: Value) -> str:
    if key == "relu":
        return "ReLU" if value else "linear"
    words = {"learning_rate": "rate", "train_count": "images", "data": "", "family": ""}
    return f"{words.get(key, key)} {value}".strip()
