"""What a second worker of one thread gains with `--engine ray`: seconds of one over those of two.

    python tests/benchmarks/ray_workers.py
    python tests/benchmarks/ray_workers.py --model fashionmnist-local-conv-relu --limit 400

One and two workers take turns in fresh folders; each turn is a whole run, with the
start of Ray and of its workers in it, and once more by the rows alone: from the first unit that
is finished to the last one, whose samples are counted. The median of the rounds counts.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

from tabulate import tabulate

from bench.run.call import Told
from bench.run.engines.start import evaluate_in_pool
from bench.run.request import Request


class Watch:
    """Notes when samples are through."""

    def __init__(self) -> None:
        self.times: list[tuple[float, int]] = []

    def begin(self, attack: str, total: int, done: int) -> None:
        """An attack begins."""

    def advance(self, attack: str, samples: int) -> None:
        """So many more samples are through."""
        self.times.append((time.perf_counter(), samples))

    def note(self, text: str) -> None:
        """Say nothing."""

    def rate(self) -> float:
        """Return samples a second after the first that were told of."""
        (first, _), *rest = self.times
        return sum(samples for _, samples in rest) / (rest[-1][0] - first)


def turn(workers: int, model: str, attack: str, limit: int) -> tuple[float, float]:
    """Return the seconds of a call, and its samples a second once it is under way."""
    watch = Watch()
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        asked = Request.of(
            model=model,
            attacks=(attack,),
            limit=limit,
            batch_size=16,
            engine="ray",
            workers=workers,
            threads=1,  # of each: one worker alone would take both cores
            output=Path(folder),
            submissions=None,
        )
        refused = evaluate_in_pool([asked], Told({}, watch))
        assert not refused, refused
        return time.perf_counter() - begin, watch.rate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="fashionmnist-local-conv-relu")
    parser.add_argument("--attack", default="min-l2", help="of minimal2026")
    parser.add_argument("--limit", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    found: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    for _ in range(given.rounds):
        for workers, turns in found.items():
            turns.append(turn(workers, given.model, given.attack, given.limit))
    whole = {w: statistics.median(t[0] for t in turns) for w, turns in found.items()}
    rates = {w: statistics.median(t[1] for t in turns) for w, turns in found.items()}
    rows = [[w, f"{whole[w]:.1f}", f"{rates[w]:.2f}"] for w in found]
    print(tabulate(rows, ["workers", "s in all", "samples/s under way"]))
    print(f"two over one: {whole[1] / whole[2]:.2f} in all, {rates[2] / rates[1]:.2f} under way")


if __name__ == "__main__":
    main()
