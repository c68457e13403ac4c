"""How often the statistics of the board are right, by simulation with known truth.

    python tests/benchmarks/rank_coverage.py                     # the whole table, some minutes
    python tests/benchmarks/rank_coverage.py --boards 200 --seed 7

A board counts as right if none of its claims is wrong: a model called better is better. The rule
without correction (a 95 % paired t interval for each pair) stands beside it. Models share the
difficulty of the images, as real ones do; values are normal or skewed (exponential).
"""

from __future__ import annotations

import argparse
import time
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest
from tabulate import tabulate

from bench.stats.intervals import Z95, mean_interval
from bench.stats.pairs import prepare
from bench.stats.recipes import recipe_significance
from bench.stats.simultaneous import significance
from bench.stats.stepdown import bars

Array = npt.NDArray[np.float64]

SHARED, OWN = 0.05, 0.06
"""Standard deviations over images: of what all models share, and of each model's own part."""
KEPT = 0.88


class Tally(NamedTuple):
    """Boards without a wrong claim.

    Attributes:
        boards: how many were drawn.
        right: of these without a wrong claim.
        right_alone: the same for pairs without correction.
        told: share of the truly different pairs that are told apart; NaN if there is none.
        gap: mean of the smallest gap that can be told.
    """

    boards: int
    right: int
    right_alone: int
    told: float
    gap: float


def levels_of(kind: str, models: int) -> Array:
    """Return true means: all equal, or half of them equal, the others up to one SD above."""
    steps = np.linspace(0, 0.06, models - models // 2)
    return 0.4 + np.concatenate([np.zeros(models // 2), steps if kind == "unequal" else 0 * steps])


def noise(rng: np.random.Generator, shape: tuple[int, ...], skewed: bool) -> Array:
    """Return noise of mean 0 and variance 1."""
    return rng.exponential(size=shape) - 1 if skewed else rng.normal(size=shape)


def uncorrected(values: Array, kept: npt.NDArray[np.bool_]) -> npt.NDArray[np.int8]:
    """Return what each pair claims by itself, from a paired t test of one seed's weights."""
    pairs = prepare(values, kept).pairs(slice(None), slice(None))
    apart = pairs.statistic() > bars(Z95, values.shape[1])[pairs.common]
    return (np.sign(pairs.difference) * apart).astype(np.int8)


def claims(signs: npt.NDArray[np.int8], levels: Array) -> tuple[bool, float]:
    """Return whether no claim is wrong, and the share of true differences that are claimed."""
    truth = np.sign(np.round(levels[:, None] - levels, 12))
    different = truth != 0
    told = float((signs[different] != 0).mean()) if different.any() else float("nan")
    return bool(((signs == 0) | (signs == truth)).all()), told


def checkpoints(
    models: int, n: int, kind: str, skewed: bool, boards: int, seed: int, kept: float = KEPT
) -> Tally:
    """Simulate boards of checkpoints: images are drawn, the models' true means are known."""
    rng, levels = np.random.default_rng(seed), levels_of(kind, models)
    rows = []
    for number in range(boards):
        values = levels[:, None] + SHARED * noise(rng, (1, n), skewed)
        values = values + OWN * noise(rng, (models, n), skewed)
        mask = rng.random((models, n)) < kept
        found = significance(values, mask, seed=number)
        alone = uncorrected(values, mask)
        rows.append((*claims(found.signs, levels), claims(alone, levels)[0], found.gap))
    return _tally(rows)


def recipes(models: int, seeds: int, n: int, kind: str, boards: int, seed: int) -> Tally:
    """Simulate boards of recipes, whose training seeds scatter with SD .003 to .03."""
    rng, levels = np.random.default_rng(seed), levels_of(kind, models)
    spread = np.geomspace(0.003, 0.03, models)
    rows = []
    for number in range(boards):
        values = levels[:, None] + rng.permutation(spread)[:, None] * rng.normal(
            size=(models, seeds)
        )
        values = values[..., None] + SHARED * rng.normal(size=n)
        values = values + OWN * rng.normal(size=(models, 1, n))
        values = values + 0.03 * rng.normal(size=(models, seeds, n))
        mask = rng.random((models, 1, n)) < KEPT
        mask = mask & (rng.random((models, seeds, n)) < 0.98)
        found = recipe_significance(values, mask, seed=number)
        alone = uncorrected(values[:, 0], mask[:, 0])
        rows.append((*claims(found.signs, levels), claims(alone, levels)[0], found.gap))
    return _tally(rows)


def _tally(rows: list[tuple[bool, float, bool, float]]) -> Tally:
    right, told, alone, gaps = zip(*rows, strict=True)
    return Tally(len(rows), sum(right), sum(alone), float(np.mean(told)), float(np.mean(gaps)))


def means(n: int, skewed: bool, draws: int, seed: int) -> float:
    """Return how often the bootstrapped 95 % interval of one mean holds the true one."""
    rng = np.random.default_rng(seed)
    kept = np.ones(n, dtype=bool)
    held = 0
    for number in range(draws):
        _, low, high = mean_interval(noise(rng, (n,), skewed), kept, seed=number)
        held += low <= 0 <= high
    return held / draws


def below(right: int, boards: int, level: float) -> bool:
    """Whether coverage lies below a level by more than chance (one in 10,000)."""
    return bool(binomtest(right, boards, level, alternative="less").pvalue < 1e-4)


def _shown(name: str, tally: Tally, seconds: float) -> list[str]:
    shares = [tally.right / tally.boards, tally.right_alone / tally.boards]
    interval = binomtest(tally.right, tally.boards).proportion_ci(method="wilson")
    return [
        name,
        str(tally.boards),
        f"{shares[0]:.3f} [{interval.low:.3f}, {interval.high:.3f}]",
        f"{shares[1]:.3f}",
        "-" if np.isnan(tally.told) else f"{tally.told:.2f}",
        f"{tally.gap:.4f}",
        f"{seconds:.0f}",
    ]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--boards", type=int, default=1000, help="of 8 and 16 models; 92: a third")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    head = ["board", "boards", "no wrong claim", "uncorrected", "told", "gap", "s"]
    lines = []
    for models in (8, 16, 92):
        boards = options.boards if models < 92 else options.boards // 3
        for kind in ("equal", "unequal"):
            for skewed in (False, True):
                start = time.perf_counter()
                tally = checkpoints(models, 300, kind, skewed, boards, options.seed)
                name = f"{models} checkpoints, {kind}, {'skewed' if skewed else 'normal'}, n = 300"
                lines.append(_shown(name, tally, time.perf_counter() - start))
                print(*lines[-1], sep=" | ", flush=True)
    for skewed in (False, True):
        start = time.perf_counter()
        tally = checkpoints(8, 30, "equal", skewed, options.boards, options.seed, kept=1.0)
        name = f"8 checkpoints, equal, {'skewed' if skewed else 'normal'}, n = 30, all kept"
        lines.append(_shown(name, tally, time.perf_counter() - start))
    for models in (8, 16):
        for seeds in (3, 5):
            for kind in ("equal", "unequal"):
                start = time.perf_counter()
                tally = recipes(models, seeds, 300, kind, options.boards, options.seed)
                name = f"{models} recipes, S = {seeds}, {kind}, n = 300"
                lines.append(_shown(name, tally, time.perf_counter() - start))
                print(*lines[-1], sep=" | ", flush=True)
    print(tabulate(lines, head))
    rows = [
        [n, *(f"{means(n, skewed, 4000, options.seed):.3f}" for skewed in (False, True))]
        for n in (8, 20, 30, 50, 100, 300)
    ]
    print(tabulate(rows, ["n", "one mean, normal", "skewed"], disable_numparse=True))


if __name__ == "__main__":
    main()
