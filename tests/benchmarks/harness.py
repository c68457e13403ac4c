"""What the harness adds to the attack calls: data, start points, settling, judging, spectra, disk.

    python tests/benchmarks/harness.py                                # a small net, full protocol
    python tests/benchmarks/harness.py --limit 1000                   # all samples
    python tests/benchmarks/harness.py --model tf_efficientnet_lite0.in1k --weights random \
        --data samples --limit 4 --steps 100

One run of `bench.evaluate` is timed as a whole, and inside of it every call of an attack
(`Attack.__call__`, which is foolbox's own call with `--implementation foolbox`). What is left
is the harness; imports and loading of the model are counted apart, as they do not grow.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
from tabulate import tabulate

import bench.attacks.run as judged
from bench.run.local import run
from bench.run.progress import Silent
from bench.run.request import Request
from bench.run.run import Run, open_run


class Clock(Silent):
    """Sums the time inside attack calls and between the attacks of a run."""

    def __init__(self) -> None:
        self.inside: dict[str, float] = defaultdict(float)
        self.whole: dict[str, float] = {}
        self.attack, self.since = "", 0.0

    def begin(self, attack: str, total: int, done: int) -> None:
        """Begin the next attack; end the last one."""
        self.end()
        self.attack, self.since = attack, time.perf_counter()

    def end(self) -> None:
        """End the running attack."""
        if self.attack:
            self.whole[self.attack] = time.perf_counter() - self.since

    def timed(self, perturb: Any) -> Any:
        """Wrap `perturb` so that its calls are timed."""

        def call(*inputs: Any, **options: Any) -> Any:
            begin = time.perf_counter()
            result = perturb(*inputs, **options)
            self.inside[self.attack] += time.perf_counter() - begin
            return result

        return call


def changed(planned: Run, steps: int | None, implementation: str) -> None:
    """Give the job's attacks other steps or another implementation, for this measurement."""
    for name, spec in planned.job.attacks.items():
        update: dict[str, Any] = {"implementation": implementation}
        if steps is not None:
            update["steps"] = min(steps, spec.steps)
        planned.job.attacks[name] = spec.model_copy(update=update)  # type: ignore[index]


def main() -> None:
    """Run once and print a line per attack."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", default="fashionmnist-local-conv-relu")
    parser.add_argument("--weights", default="default")
    parser.add_argument("--data", default=None)
    parser.add_argument("--limit", type=int, default=128)
    parser.add_argument("--steps", type=int, default=None, help="fewer steps than the protocol's")
    parser.add_argument("--implementation", default="bench", choices=["bench", "foolbox"])
    options = parser.parse_args()
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        request = Request.of(
            model=options.model, weights=options.weights, data=options.data, limit=options.limit,
            output=Path(folder),
        )  # fmt: skip
        planned = open_run(request)
        changed(planned, options.steps, options.implementation)
        ready = time.perf_counter()
        judged.perturb = clock.timed(judged.perturb)
        run(planned, clock)
        clock.end()
    rows = [
        [name, f"{clock.inside[name]:.2f}", f"{clock.whole[name] - clock.inside[name]:.2f}",
         f"{100 * (clock.whole[name] / clock.inside[name] - 1):.1f} %"]
        for name in clock.whole
    ]  # fmt: skip
    inside, whole = sum(clock.inside.values()), sum(clock.whole.values())
    rows.append(
        ["all", f"{inside:.2f}", f"{whole - inside:.2f}", f"{100 * (whole / inside - 1):.1f} %"]
    )
    print(f"{options.model}, {len(planned.sample_ids)} samples, {options.implementation}, "
          f"{torch.get_num_threads()} threads; loading {ready - begin:.1f} s")  # fmt: skip
    print(tabulate(rows, ["attack", "attack calls, s", "harness, s", "harness adds"]))


if __name__ == "__main__":
    main()
