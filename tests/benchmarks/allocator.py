"""What keeping freed memory saves (`bench.run.machine`), in forward+backward time.

    python tests/benchmarks/allocator.py
    python tests/benchmarks/allocator.py --models resnet50d vit_small_patch16_224 --batch 16

Processes with and without the setting take turns, for it holds for a whole process. Each builds the
model with random weights and times plain eager forward+backward by the images; the smallest time
counts. The ratio is kept over default: below 1 is a gain. Results are the same bits.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

from tabulate import tabulate


def measure(model: str, batch: int, size: int, keep: bool, repeats: int) -> dict[str, float]:
    """Return the smallest time of a step in seconds, peak memory in GiB, and the gradient's sum."""
    from bench.run.machine import keep_freed_memory

    if keep:
        assert keep_freed_memory(), "this C library has no mallopt"
    import timm
    import torch

    torch.manual_seed(0)
    net = timm.create_model(model).eval().requires_grad_(False)
    images = torch.rand(batch, 3, size, size)
    best = float("inf")
    for _ in range(repeats):
        leaf = images.clone().requires_grad_()
        begin = time.perf_counter()
        (gradient,) = torch.autograd.grad(net(leaf).logsumexp(1).sum(), leaf)
        best = min(best, time.perf_counter() - begin)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"seconds": best, "peak": peak, "sum": float(gradient.double().abs().sum())}


def main() -> None:
    """Parse the command line, let processes take turns, print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", nargs="+", default=["tf_efficientnet_lite0", "resnet50d"])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--one", choices=("keep", "default"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        keep = args.one == "keep"
        print(json.dumps(measure(args.models[0], args.batch, args.size, keep, args.repeats)))
        return
    rows = []
    for model in args.models:
        found: dict[str, list[dict[str, float]]] = {"default": [], "keep": []}
        for _ in range(args.rounds):
            for how, runs in found.items():
                command = [sys.executable, __file__, "--one", how, "--models", model]
                command += ["--batch", str(args.batch), "--size", str(args.size)]
                command += ["--repeats", str(args.repeats)]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                runs.append(json.loads(done.stdout.splitlines()[-1]))
        sums = {run["sum"] for runs in found.values() for run in runs}
        seconds = {how: min(run["seconds"] for run in runs) for how, runs in found.items()}
        peaks = [max(run["peak"] for run in runs) for runs in found.values()]
        ratio = seconds["keep"] / seconds["default"]
        rows.append([model, seconds["default"], seconds["keep"], ratio, *peaks, len(sums) == 1])
    head = ["model", "default s", "kept s", "ratio", "default GiB", "kept GiB", "same bits"]
    print(tabulate(rows, headers=head, floatfmt=".3f"))


if __name__ == "__main__":
    main()
