"""Contrasts of submitted models, attack by attack: of these very weights, so without a verdict.

Further training seeds are submitted with the primary attack only. Where both models of a pair have
three seeds or more under an attack, seeds enter as in a study.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.board.claims.estimates import Estimate, counted
from bench.entries.claims import Contrast
from bench.errors import BenchError
from bench.results.read import find, read
from bench.results.samples import Samples
from bench.stats.bootstrap import Bools, Floats
from bench.stats.choices import image_interval
from bench.stats.contrasts import contrast as interval_of
from bench.stats.contrasts import sidak
from bench.stats.recipes import FEWEST_SEEDS

_SEED = re.compile(r"^(?P<model>.+?)(?:@seed(?P<seed>[0-9]+))?$")


class Board:
    """The submissions of one folder, each read when it is first asked for.

    Args:
        folder: `<protocol>/<dataset>/<model>.parquet` are in it.
    """

    def __init__(self, folder: Path) -> None:
        self._paths: dict[tuple[str, str], dict[int, Path]] = {}
        for path in find(folder):
            match = _SEED.match(path.stem)
            assert match is not None, "the pattern takes every name"
            key = path.parts[-3], match["model"]
            self._paths.setdefault(key, {})[int(match["seed"] or 0)] = path
        self._read: dict[Path, tuple[tuple[str, ...], Samples] | None] = {}

    def seeds(
        self, protocol: str, model: str, attack: str, metric: str
    ) -> Mapping[int, tuple[Floats, Bools]]:
        """Return seed -> values (n,) and kept (n,) of a model under an attack."""
        found = {}
        for seed, path in sorted(self._paths.get((protocol, model), {}).items()):
            read_one = self._samples(path)
            if read_one is None or attack not in read_one[0]:
                continue
            place, samples = read_one[0].index(attack), read_one[1]
            if samples.present[place].any() and metric in samples.quantities:
                found[seed] = samples.quantities[metric][place], samples.kept[place]
        return found

    def files(self) -> list[Path]:
        """Return the files that were read, sorted."""
        return sorted(self._read)

    def _samples(self, path: Path) -> tuple[tuple[str, ...], Samples] | None:
        if path not in self._read:
            try:
                submission, samples = read(path)
                self._read[path] = tuple(submission.rules.attacks), samples
            except BenchError:
                self._read[path] = None
        return self._read[path]


def estimates(board: Board, contrast: Contrast, claims: int, family: int) -> list[Estimate]:
    """Return one estimate for each attack and pair of models."""
    return [
        compared(board, contrast, pair, attack, contrast.protocol, claims, family)
        for attack in contrast.attacks
        for pair in contrast.pairs
    ]


def compared(
    board: Board,
    contrast: Contrast,
    pair: tuple[str, str],
    attack: str,
    protocol: str,
    claims: int = 1,
    family: int = 1,
) -> Estimate:
    """Return left minus right of one pair of models under one attack."""
    left, right = (board.seeds(protocol, name, attack, contrast.metric) for name in pair)
    sides = ((1.0, pair[0]), (-1.0, pair[1]))
    base = Estimate(contrast, (_short(*pair),), sides, attack)
    seeds = sorted(left.keys() & right.keys())
    if not seeds:
        return replace(base, measured=False, why="not run")
    values = np.stack([[side[s][0] for s in seeds] for side in (left, right)])
    kept = np.stack([[side[s][1] for s in seeds] for side in (left, right)])
    own = interval_of(values, kept, [1, -1], claims)
    together = interval_of(values, kept, [1, -1], family)
    few = len(seeds) < FEWEST_SEEDS
    return replace(
        base,
        own=own.interval,
        together=together.interval,
        images=image_interval(values[:, 0], kept[:, 0], [1, -1], sidak(claims)),
        seeds=own.seeds,
        ids=own.ids,
        why=f"{counted(len(seeds))}, {FEWEST_SEEDS} needed for an interval" if few else "",
    )


def _short(left: str, right: str) -> str:
    """Return "left - right" without the data set's name, if it is the same."""
    dataset = left.partition("-")[0] + "-"
    if right.startswith(dataset):
        return f"{left.removeprefix(dataset)} - {right.removeprefix(dataset)}"
    return f"{left} - {right}"
