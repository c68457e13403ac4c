"""Two ranks, never in one list: of checkpoints (images) and of recipes (images and seeds)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from bench.board.numbers import ModelSummary
from bench.board.seeds import Seeds, roll_up
from bench.board.table import Row, Table, Told
from bench.entries import registry
from bench.entries.rules import Rules
from bench.stats.bootstrap import Bools, Floats
from bench.stats.ranks import tie_groups
from bench.stats.recipes import recipe_significance
from bench.stats.simultaneous import MAX_DRAWN, significance


def rank(models: Iterable[ModelSummary], rules: Rules, size: tuple[int, int]) -> Table:
    """Roll results up into models and rank them by the RFC of the primary attack, lowest first.

    Args:
        models: of one table, every training seed a result of its own.
        rules: what they were measured under.
        size: (H, W) of their input.
    """
    every, ranks = roll_up(models), registry.ranks(rules.protocol)
    able = [seeds for seeds in every if ranks and seeds.main.ranked]
    able.sort(key=lambda s: (s.main.attacks[rules.primary].rfc.mean, s.name))
    rows, checkpoints = _checkpoints(able, rules)
    ranked, recipes = _recipes(rows, rules)
    chosen = {seeds.name for seeds in able}
    rest = tuple(Row(s.main, rolled=s) for s in every if s.name not in chosen)
    return Table(rules, size, ranked, rest, ranks, checkpoints, recipes)


def _checkpoints(able: Sequence[Seeds], rules: Rules) -> tuple[list[Row], Told]:
    if not able:
        return [], Told(0, float("nan"), True)
    values = np.stack([s.main.primary for s in able])
    kept = np.stack([s.main.primary_kept for s in able])
    found = significance(values, kept, rules.protocol.seed)
    groups = tie_groups(range(len(able)), found.signs)
    rows = [
        Row(seeds.main, (int(low), int(high)), letter, float(sd), seeds)
        for seeds, (low, high), letter, sd in zip(
            able, found.rank_sets, groups, found.seed_sd, strict=True
        )
    ]
    return rows, Told(len(able), found.gap, len(able) <= MAX_DRAWN)


def _recipes(rows: Sequence[Row], rules: Rules) -> tuple[tuple[Row, ...], Told]:
    chosen = [i for i, row in enumerate(rows) if row.seeds.enough]
    chosen.sort(key=lambda i: (rows[i].seeds.mean.mean, rows[i].name))
    if not chosen:
        return tuple(rows), Told(0, float("nan"), True)
    values, kept = padded([rows[i].seeds.counted for i in chosen])
    found = recipe_significance(values, kept, rules.protocol.seed)
    groups = tie_groups(range(len(chosen)), found.signs)
    result = list(rows)
    for place, (low, high), letter in zip(chosen, found.rank_sets, groups, strict=True):
        row = rows[place]
        result[place] = replace(row, recipe_rank=(int(low), int(high)), recipe_group=letter)
    return tuple(result), Told(len(chosen), found.gap, len(chosen) <= MAX_DRAWN)


def padded(
    models: Sequence[Mapping[int, ModelSummary]],
) -> tuple[Floats, Bools]:
    """Return (M, S, n) RFC under the primary attack and kept; S are all seed numbers in order.

    A seed that a model does not have is NaN and not kept, so seeds are paired by number.
    """
    numbers = sorted({seed for found in models for seed in found})
    n = len(next(iter(models[0].values())).primary)
    values = np.full((len(models), len(numbers), n), np.nan)
    kept = np.zeros(values.shape, dtype=bool)
    for m, found in enumerate(models):
        for seed, model in found.items():
            place = numbers.index(seed)
            values[m, place], kept[m, place] = model.primary, model.primary_kept
    return values, kept
