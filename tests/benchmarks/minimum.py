"""How near to the minimum, and at what price: `minimum` beside its relatives, in one run.

    python tests/benchmarks/minimum.py                          # the carried ReLU nets, L2
    python tests/benchmarks/minimum.py --norm linf --nets local-conv-relu gelu vit
    python tests/benchmarks/minimum.py --nets efficientnet --images 8
    python tests/benchmarks/minimum.py --check                  # exit 1 if any is nearer, see below
    python tests/benchmarks/minimum.py --images 200 --write     # keep the rows in minimum.csv

Contestants: `minimum`; Brendel-Bethge from the three nearest boundaries (1000 steps) and from one
random image (the protocol caro2024's); foolbox's Brendel-Bethge where numba is installed, foolbox's
DDN (1000 steps) and FMN; and where adv-lib is installed (`pip install
git+https://github.com/jeromerony/adversarial-library`) its DDN, ALMA, FAB, PDGD, PDPGD, FMN, 1000
steps each.
All perturbations are settled in the same way: grown until the float32 margin says "fooled".

The unit of price is a bare step, forward+backward of the same batch (median of turns taken beside
each contestant); "gradients" is what `minimum` says that it took, an image. Optimality is 1 - (mean
d - mean d*) / (D - mean d*), d* the smallest distance of any contestant on the image, D the largest
d* (AttackBench, https://arxiv.org/abs/2404.19460); "> 1 %" is the share of images on which a
contestant is more than 1 % longer than d*; "beats" the share on which it is more than 1 % shorter
than `minimum`. `--check` fails where that is more than 1 % of a net's images. Nets: the carried
ones without `fashionmnist-`, those of `untuned.py` (trained here on the first half of the embedded
images and attacked on the second), and efficientnet-lite0 with its published weights at 224 px.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
import untuned
from attacks import efficientnet, fashionmnist, predict
from tabulate import tabulate
from torch import Tensor, nn
from torch.nn import functional as F

from bench.attacks.base import norms
from bench.attacks.minimum.minimise import minimise
from bench.attacks.run import perturb
from bench.attacks.settle import settle
from bench.entries import registry
from bench.entries.attacks import AttackSettings
from bench.models.load import load
from bench.run.machine import keep_freed_memory
from bench.steps.calibrate import calibrate, prepare
from bench.steps.step import GradientStep

warnings.simplefilter("ignore")
RELU = ("full-conv", "fully-connected", "local-conv", "locally-connected", "deep-local-conv")
Run = Callable[[], Tensor]
STEPS = 1000
HEAD = ["net", "norm", "n", "who", "seconds", "bare steps", "gradients", "optimality", "> 1 %",
        "beats %", "median"]  # fmt: skip
FORMATS = ("", "", "", "", ".2f", ".1f", ".1f", ".5f", ".1f", ".1f", ".5f")
KEPT = Path(__file__).with_suffix(".csv")
"""The last full result."""


def batch(name: str, count: int) -> tuple[nn.Module, Tensor, Tensor, Tensor]:
    """Return a frozen model, images that it classifies right, labels, and adversarial images."""
    if name == "efficientnet":
        model, images, labels = efficientnet()
    else:
        images, labels = fashionmnist()
        if name in untuned.NETS:
            half = len(images) // 2
            model = untuned.trained(name, images[:half], labels[:half])
            images, labels = images[half:], labels[half:]
        else:
            entry = registry.model(f"fashionmnist-{name}")
            model = load(entry, "default", torch.device("cpu")).module
    classes = predict(model, images)
    right = (classes == labels).nonzero()[:count, 0]
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    starts = [images[order[(classes[order] != labels[k]).nonzero()[0, 0]]] for k in right]
    return model, images[right], labels[right], torch.stack(starts)


def settings(protocol: str, attack: str, **changes: object) -> AttackSettings:
    """Return an attack of a protocol, or a witness, with other settings."""
    found = registry.protocol(protocol)
    return (found.attacks | found.witnesses)[attack].model_copy(update=changes)


def contestants(
    model: nn.Module, x: Tensor, y: Tensor, starts: Tensor, norm: str, gradients: list[Tensor]
) -> dict[str, Run]:
    """Return everybody, by name; `minimum` leaves its gradients an image in `gradients`."""
    step = prepare(model, calibrate(model, x, y), x)

    def ours() -> Tensor:
        found = minimise(step, x, y, norm, starts=starts)  # type: ignore[arg-type]
        gradients[:] = [found.gradients_per_image]
        return found.adversarial

    def of(spec: AttackSettings, own: GradientStep | None = None) -> Run:
        given = starts if spec.needs_starts else None
        return lambda: perturb(spec, model, x, y, given, step=own).adversarial

    walk = settings("caro2024", f"bb-{norm}", steps=STEPS)
    nearest = walk.model_copy(update={"nearest_starts": 3})
    runs = {"minimum": ours, "BB, nearest starts": of(nearest, step), "BB": of(walk, step)}
    if importlib.util.find_spec("numba"):
        runs["foolbox BB"] = of(walk.model_copy(update={"implementation": "foolbox"}))
    if norm == "l2":
        runs["foolbox DDN"] = of(settings("minimal2026", "ddn-l2", steps=STEPS, gamma=0.05))
    else:
        runs["foolbox FMN"] = of(settings("minimal2026", "fmn-linf", steps=STEPS))
    return runs | peers(model, x, y, norm)


def peers(model: nn.Module, x: Tensor, y: Tensor, norm: str) -> dict[str, Run]:
    """Return adv-lib's attacks, if it is installed."""
    if importlib.util.find_spec("adv_lib") is None:
        print("# adv-lib is not installed: skipped")
        return {}
    from adv_lib import attacks

    if norm == "linf":
        return {
            "adv-lib FAB": lambda: attacks.fab(model, x, y, torch.inf, n_iter=STEPS),
            "adv-lib PDPGD": lambda: attacks.pdpgd(model, x, y, torch.inf, num_steps=STEPS),
            "adv-lib FMN": lambda: attacks.fmn(model, x, y, torch.inf, steps=STEPS),
        }
    return {
        "adv-lib DDN": lambda: attacks.ddn(model, x, y, steps=STEPS, levels=None),
        "adv-lib ALMA": lambda: attacks.alma(model, x, y, num_steps=STEPS, distance="l2"),
        "adv-lib FAB": lambda: attacks.fab(model, x, y, 2, n_iter=STEPS),
        "adv-lib PDGD": lambda: attacks.pdgd(model, x, y, num_steps=STEPS),
    }


def bare(model: nn.Module, x: Tensor, y: Tensor, times: int = 20) -> float:
    """Return seconds of a bare forward+backward step."""
    begin = time.perf_counter()
    for _ in range(times):
        leaf = x.clone().requires_grad_()
        torch.autograd.grad(F.cross_entropy(model(leaf), y, reduction="sum"), leaf)
    return (time.perf_counter() - begin) / times


def compare(
    name: str, norm: str, count: int, without: list[str]
) -> tuple[list[list[object]], list[str]]:
    """Return a row for each contestant, and those who beat `minimum` too often."""
    model, x, y, starts = batch(name, count)
    gradients: list[Tensor] = []
    seconds, steps, distances = {}, {}, {}
    for who, run in contestants(model, x, y, starts, norm, gradients).items():
        if who in without:
            continue
        if who == "minimum":
            run()  # caches
        unit = bare(model, x, y)
        begin = time.perf_counter()
        found = run()
        seconds[who] = time.perf_counter() - begin
        steps[who] = seconds[who] / ((unit + bare(model, x, y)) / 2)
        found = settle(model, x, found.clamp(0, 1), y)
        fooled = predict(model, found) != y
        distances[who] = norms(found - x, norm).double().masked_fill(~fooled, torch.inf)
    best = torch.stack(list(distances.values())).amin(0)
    largest, ours = best.max(), distances["minimum"]
    rows: list[list[object]] = []
    winners = []
    for who, d in distances.items():
        score = 1 - (d.clamp_max(largest).mean() - best.mean()) / (largest - best.mean())
        beats = float((d < ours / 1.01).double().mean())
        if beats > 0.01:
            winners.append(f"{name} {norm}: {who} on {beats:.1%}")
        taken = float(gradients[0].double().mean()) if who == "minimum" else None
        rows.append([
            name, norm, len(x), who, seconds[who], steps[who], taken, float(score),
            100 * float((d > 1.01 * best).double().mean()), 100 * beats, float(d.median()),
        ])  # fmt: skip
    return rows, winners


def keep(rows: list[list[object]]) -> None:
    """Put a net's rows into the file of the last full result, in place of its older ones."""
    old: list[list[str]] = []
    if KEPT.exists():
        with KEPT.open(newline="") as file:
            old = list(csv.reader(file))[1:]
    new = [
        [
            "" if cell is None else format(cell, form)
            for cell, form in zip(row, FORMATS, strict=True)
        ]
        for row in rows
    ]
    kept = [row for row in old if row[:2] != new[0][:2]]
    with KEPT.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([HEAD, *sorted(kept + new)])


def main() -> None:
    """Parse the command line, run, print a table for each net."""
    carried = [*RELU, *(f"{name}-relu" for name in RELU)]
    every = [*carried, *untuned.NETS, "efficientnet"]
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--nets", nargs="+", choices=every, default=carried[len(RELU) :])
    parser.add_argument("--norm", choices=("l2", "linf"), default="l2")
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--check", action="store_true", help="fail if any is nearer too often")
    parser.add_argument("--without", nargs="+", default=[], help="contestants to leave out")
    parser.add_argument("--write", action="store_true", help=f"keep the rows in {KEPT.name}")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    keep_freed_memory()
    print(f"# {args.images} images, {args.threads} threads")
    beaten = []
    for name in args.nets:
        rows, winners = compare(name, args.norm, args.images, args.without)
        beaten += winners
        print(tabulate(rows, headers=HEAD, floatfmt=FORMATS), flush=True)
        if args.write:
            keep(rows)
    print("\n".join(["# more than 1 % shorter than minimum:", *beaten] if beaten else []))
    raise SystemExit(1 if args.check and beaten else 0)


if __name__ == "__main__":
    main()
