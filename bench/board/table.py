"""What the board is made of: tables of rows, a row being a model over its training seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from bench.board.numbers import ModelSummary
from bench.board.seeds import Seeds, alone
from bench.entries.rules import Rules
from bench.results.read import Unusable
from bench.stats.intervals import Interval

Rank = tuple[int, int]


@dataclass(frozen=True)
class Excess:
    """A minimal attack of another protocol against the minimum of the same norm, same weights.

    Attributes:
        minimum: name of the attack that found the minimum.
        n: samples that are clean-correct in both results and that the minimum fools.
        median: median of d / d* - 1 over them; infinite where fewer than half are fooled.
        longer: share of them with d > 1.01 d*.
        rfc: mean RFC minus that of the minimum, over the samples that both keep.
        common: number of these samples.
    """

    minimum: str
    n: int
    median: float
    longer: Interval
    rfc: Interval
    common: int


@dataclass(frozen=True)
class Row:
    """A model in its table.

    Attributes:
        model: the numbers of its own weights.
        rank: checkpoint rank, lowest and highest: these weights, images only. None: not ranked.
        group: letter of its tie group among checkpoints, "" if it is not ranked.
        seed_sd: standard deviation over training seeds at which the first of its claims as a
            checkpoint would fall; NaN without a claim.
        rolled: its training seeds; None: `model` alone.
        recipe_rank: rank of architecture and recipe, seeds and images; None with too few seeds.
        recipe_group: letter of its tie group among recipes.
        excess: attack -> how far its norms are above the minimum, where that was measured.
    """

    model: ModelSummary
    rank: Rank | None = None
    group: str = ""
    seed_sd: float = float("nan")
    rolled: Seeds | None = None
    recipe_rank: Rank | None = None
    recipe_group: str = ""
    excess: Mapping[str, Excess] = field(default_factory=dict)

    @cached_property
    def seeds(self) -> Seeds:
        """Its training seeds."""
        return self.rolled or alone(self.model)

    @property
    def name(self) -> str:
        """`<model>[@random]`."""
        return self.seeds.name


@dataclass(frozen=True)
class Told:
    """What one kind of rank can tell.

    Attributes:
        models: how many are compared.
        gap: the smallest gap that can be told (see `bench.stats`); NaN without a pair.
        drawn: whether the critical value was drawn; False: a wider one in closed form.
    """

    models: int
    gap: float
    drawn: bool


@dataclass(frozen=True)
class Matched:
    """A pair of models of a contrast.

    Attributes:
        plus, minus: their names without the data set's.
        rates: learning rates of their recipes in the registry; None where it has none.
    """

    plus: str
    minus: str
    rates: tuple[float | None, float | None]

    @property
    def one_rate(self) -> bool:
        """Whether both are known to have the same learning rate."""
        return self.rates[0] is not None and self.rates[0] == self.rates[1]


@dataclass(frozen=True)
class Contrasted:
    """A contrast between recipes, or why it is not shown.

    Attributes:
        name: "local minus full".
        interval: its mean over seeds and images, simultaneous over the contrasts that are shown.
        pairs: matched models.
        seeds: training seeds that all of them have.
        ids: sample ids that all of them keep.
        why: why there is no interval; "" if there is one.
        matched: the pairs, where there is an interval.
    """

    name: str
    interval: Interval
    pairs: int
    seeds: int
    ids: int
    why: str = ""
    matched: tuple[Matched, ...] = ()


@dataclass(frozen=True)
class Common:
    """RFC over the ids that all compared models keep.

    Attributes:
        ids: attack -> number of these ids.
        rfc: attack -> model -> mean over them.
        why: why there is none; "" if there is one.
    """

    ids: Mapping[str, int]
    rfc: Mapping[str, Mapping[str, Interval]]
    why: str = ""


@dataclass(frozen=True)
class Table:
    """Results that may be compared: one data set, protocol hash and input size.

    Attributes:
        rules: what they were measured under.
        size: (H, W) of the models' input.
        ranked: best checkpoint first.
        unranked: by name, each with its reasons.
        ranks: whether its protocol ranks; False: numbers only.
        checkpoints, recipes: what the two ranks can tell.
        contrasts: between recipes.
        common: RFC under every attack on common ids.
    """

    rules: Rules
    size: tuple[int, int]
    ranked: tuple[Row, ...]
    unranked: tuple[Row, ...]
    ranks: bool = True
    checkpoints: Told = Told(0, float("nan"), True)
    recipes: Told = Told(0, float("nan"), True)
    contrasts: tuple[Contrasted, ...] = ()
    common: Common = Common({}, {})

    @property
    def rows(self) -> tuple[Row, ...]:
        """Ranked, then unranked."""
        return self.ranked + self.unranked

    @property
    def passing(self) -> tuple[Row, ...]:
        """Rows that pass every gate."""
        return tuple(row for row in self.rows if row.model.ranked)


@dataclass(frozen=True)
class Board:
    """Everything that the board shows."""

    tables: tuple[Table, ...]
    unusable: tuple[Unusable, ...]
