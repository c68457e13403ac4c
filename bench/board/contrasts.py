"""Contrasts between the recipes of one table: what one factor changes, the others being equal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from bench.board.ranking import padded
from bench.board.seeds import Seeds
from bench.board.table import Contrasted, Matched, Table
from bench.entries import registry
from bench.stats.contrasts import Contrast, contrast, factorial_weights
from bench.stats.intervals import NOTHING
from bench.stats.recipes import FEWEST_SEEDS
from bench.stats.stepdown import FEWEST_IDS


class Question(NamedTuple):
    """A contrast: the level `plus` of a factor minus its level `minus`."""

    factor: str
    plus: str
    minus: str

    @property
    def name(self) -> str:
        """What is shown."""
        return f"{self.plus} minus {self.minus}"


QUESTIONS = (
    Question("extent", "local", "full"),
    Question("type", "ReLU", "linear"),
    Question("depth", "deep", "shallow"),
    Question("training", "trained", "untrained"),
)


def levels(seeds: Seeds, dataset: str) -> Mapping[str, str] | None:
    """Return a net's level of each factor; None if it is not one of the paper's nets.

    The paper's nets are known by their names, which say what they are: two models with the same
    levels (another kernel size, another learning rate) would not be matched one to one.
    """
    net = seeds.main.net
    family, deep, relu = str(net.get("family")), bool(net.get("deep")), bool(net.get("relu"))
    name = f"{dataset}-{'deep-' * deep}{family}{'-relu' * relu}"
    if seeds.name.removesuffix("@random") != name:
        return None
    return {
        "extent": "local" if family.startswith("local") else "full",
        "sharing": "convolution" if family.endswith("conv") else "connected",
        "type": "ReLU" if relu else "linear",
        "depth": "deep" if deep else "shallow",
        "training": "untrained" if seeds.main.control else "trained",
    }


def contrasts(table: Table) -> tuple[Contrasted, ...]:
    """Return every contrast of a table, read together, or why it is not shown."""
    rows = {row.name: row.seeds for row in table.rows if row.model.ranked or row.model.control}
    dataset = table.rules.dataset.name
    nets = [(each, found) for each in rows.values() if (found := levels(each, dataset))]
    if not nets:
        return ()
    first = [_measured(question, nets, 1) for question in QUESTIONS]
    family = max(1, sum(not found.why for found in first))
    return tuple(
        found if found.why or family == 1 else _measured(question, nets, family)
        for question, found in zip(QUESTIONS, first, strict=True)
    )


def _measured(
    question: Question, nets: Sequence[tuple[Seeds, Mapping[str, str]]], family: int
) -> Contrasted:
    of_training = question.factor == "training"
    asked = [pair for pair in nets if of_training or pair[1]["training"] == "trained"]
    able = [pair for pair in asked if pair[0].enough]
    weights = factorial_weights([level for _, level in able], *question) if able else np.zeros(0)
    pairs, there = int((weights > 0).sum()), _pairs(question, [level for _, level in asked])
    if pairs == 0:
        why = "no matched pair of models"
        if there:
            why = f"none of {there} matched pairs has {FEWEST_SEEDS} training seeds of both"
        return Contrasted(question.name, NOTHING, 0, 0, 0, why)
    found = contrast(*padded([seeds.counted for seeds, _ in able]), weights, family)
    why = _missing(found)
    if why:
        return Contrasted(question.name, NOTHING, pairs, found.seeds, found.ids, why)
    matched = _matched(question, able)
    return Contrasted(question.name, found.interval, pairs, found.seeds, found.ids, matched=matched)


def _matched(
    question: Question, nets: Sequence[tuple[Seeds, Mapping[str, str]]]
) -> tuple[Matched, ...]:
    """Return the pairs of a contrast: equal in all other factors."""
    found: dict[frozenset[tuple[str, str]], dict[str, Seeds]] = {}
    for seeds, level in nets:
        others = frozenset((key, value) for key, value in level.items() if key != question.factor)
        found.setdefault(others, {})[level[question.factor]] = seeds
    sides = [
        (pair[question.plus], pair[question.minus])
        for pair in found.values()
        if {question.plus, question.minus} <= pair.keys()
    ]
    return tuple(
        Matched(_short(plus), _short(minus), (_rate(plus), _rate(minus)))
        for plus, minus in sorted(sides, key=lambda side: side[0].name)
    )


def _short(seeds: Seeds) -> str:
    return seeds.name.partition("-")[2]


def _rate(seeds: Seeds) -> float | None:
    """Return the learning rate of a net's recipe in the registry; None where it has none."""
    name = seeds.name.removesuffix("@random")
    if name not in registry.model_names():
        return None
    recipe = registry.model(name).recipe
    return None if recipe is None else recipe.learning_rate


def _pairs(question: Question, found: Sequence[Mapping[str, str]]) -> int:
    return int((factorial_weights(found, *question) > 0).sum())


def _missing(found: Contrast) -> str:
    if found.seeds < FEWEST_SEEDS:
        return f"{found.seeds} training seeds in common, {FEWEST_SEEDS} needed"
    if found.ids < FEWEST_IDS:
        return f"{found.ids} samples that all of them keep, {FEWEST_IDS} needed"
    return ""
