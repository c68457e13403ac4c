"""How much faster the layers are than plain PyTorch, side by side in one run.

    python tests/benchmarks/layers.py                  # the ratios: deep nets, collapse, memory
    python tests/benchmarks/layers.py --part variants  # what was tried, one layer at a time
    python tests/benchmarks/layers.py --part map       # linear nets trained through their matrix

Each pair is timed in turns (A, B, A, B, ...) and the smallest time of each is compared, so that
other work on the machine hits both. Plain full-kernel convolution takes seconds a step.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from tabulate import tabulate
from torch import Tensor, nn
from torch.nn import functional as F

from bench.entries.model import Net
from bench.models.affine import affine_map
from bench.models.collapse import collapse
from bench.models.layers.layers import CircularConv2d, LocallyConnected2d
from bench.models.nets import build_net

Step = Callable[[], object]
PARTS = ("full", "local", "collapse", "memory", "map", "variants", "sgd")


def side_by_side(steps: dict[str, Step], rounds: int, budget: float) -> dict[str, float]:
    """Return the smallest time of each step in seconds; each gets its share of the budget."""
    best = dict.fromkeys(steps, float("inf"))
    for step in steps.values():  # warm up
        step()
    for _ in range(rounds):
        for name, step in steps.items():
            end = time.perf_counter() + budget / rounds / len(steps)
            while True:
                begin = time.perf_counter()
                step()
                now = time.perf_counter()
                best[name] = min(best[name], now - begin)
                if now >= end:
                    break
    return best


# ---------------------------------------------------------------- plain PyTorch


class PlainFull(nn.Module):
    """Deep full-kernel net of `nn.Conv2d` with circular padding."""

    def __init__(self, size: int, channels: int, relu: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for c in (channels, 32, 32):
            layers.append(nn.Conv2d(c, 32, size, padding="same", padding_mode="circular"))
            layers += [nn.ReLU()] if relu else []
        self.net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(32 * size * size, 10))

    def forward(self, x: Tensor) -> Tensor:
        """Images to logits."""
        return self.net(x)


class PlainLocal(nn.Module):
    """Locally connected layer as unfold and einsum."""

    def __init__(self, in_channels: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(32, 9 * in_channels, size * size) * 0.05)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, 32, H, W)."""
        patches = F.unfold(x, 3, padding=1)
        return torch.einsum("bkp,okp->bop", patches, self.weight).view(len(x), 32, *x.shape[2:])


def plain_local_net(size: int, channels: int, relu: bool) -> nn.Module:
    layers: list[nn.Module] = []
    for c in (channels, 32, 32):
        layers += [PlainLocal(c, size), *([nn.ReLU()] if relu else [])]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(32 * size * size, 10))


def ours(family: str, size: int, channels: int, relu: bool) -> nn.Module:
    net = Net.model_validate({"family": family, "deep": True, "relu": relu})
    return build_net(net, input_shape=(channels, size, size), classes=10, seed=0)


def training_step(net: nn.Module, x: Tensor, y: Tensor) -> Step:
    """Return forward + backward to the weights' gradients."""

    def step() -> None:
        net.zero_grad()
        F.cross_entropy(net(x), y).backward()

    return step


def attack_step(net: nn.Module, x: Tensor, y: Tensor) -> Step:
    """Return forward + backward to the input's gradient, weights frozen."""
    net.requires_grad_(False)
    z = x.clone().requires_grad_()

    def step() -> None:
        z.grad = None
        F.cross_entropy(net(z), y).backward()

    return step


# ---------------------------------------------------------------- the parts


def compare_nets(
    family: str, plain: Callable[[int, int, bool], nn.Module], options: argparse.Namespace
) -> list[list[str]]:
    rows = []
    x = torch.rand(options.batch, options.channels, options.size, options.size)
    y = torch.randint(10, (options.batch,))
    for relu in (False, True):
        for kind, make in (("training", training_step), ("attack", attack_step)):
            name = f"deep {family}{' ReLU' if relu else ''}"
            if options.only not in f"{name}, {kind}":
                continue
            nets = {
                "plain": plain(options.size, options.channels, relu),
                "ours": ours(family, options.size, options.channels, relu),
            }
            steps = {name: make(net, x, y) for name, net in nets.items()}
            best = side_by_side(steps, options.rounds, options.seconds)
            rows.append(
                [
                    name,
                    kind,
                    f"{1e3 * best['plain']:.0f}",
                    f"{1e3 * best['ours']:.1f}",
                    f"{best['plain'] / best['ours']:.1f} x",
                ]
            )
            print(*rows[-1], file=sys.stderr, flush=True)
    return rows


def compare_collapse(options: argparse.Namespace) -> list[list[str]]:
    rows = []
    shape = (options.channels, options.size, options.size)
    x, y = torch.rand(options.batch, *shape), torch.randint(10, (options.batch,))
    for family in ("fully-connected", "full-conv", "locally-connected", "local-conv"):
        net = ours(family, options.size, options.channels, relu=False)
        steps = {
            "net": attack_step(net, x, y),
            "collapsed": attack_step(collapse(net, shape), x, y),
        }
        best = side_by_side(steps, options.rounds, options.seconds / 4)
        rows.append(
            [
                f"deep {family}, collapsed",
                "attack",
                f"{1e3 * best['net']:.1f}",
                f"{1e3 * best['collapsed']:.3f}",
                f"{best['net'] / best['collapsed']:.0f} x",
            ]
        )
    return rows


def compare_map(options: argparse.Namespace) -> list[list[str]]:
    """Time whole training steps of linear nets: through the net, and through its affine map."""
    rows = []
    shape = (options.channels, options.size, options.size)
    x, y = torch.rand(options.batch, *shape), torch.randint(10, (options.batch,))
    families = ("fully-connected", "full-conv", "locally-connected", "local-conv")
    kinds = [(family, None) for family in families] + [("local-conv", k) for k in (3, 11)]
    for deep in (False, True):
        for family, kernel in kinds:
            entry = Net.model_validate(
                {"family": family, "deep": deep, "relu": False, "kernel_size": kernel}
            )
            net = build_net(entry, input_shape=shape, classes=10, seed=0)
            optimizer = torch.optim.SGD(net.parameters(), lr=1e-6, momentum=0.9, fused=True)
            ways = {
                "net": lambda net=net: net(x),
                "map": lambda net=net: F.linear(x.flatten(1), *affine_map(net, shape)),
            }

            def step(way: Callable[[], Tensor], optimizer: torch.optim.SGD = optimizer) -> None:
                optimizer.zero_grad()
                F.cross_entropy(way(), y).backward()
                optimizer.step()

            steps = {name: lambda way=way, step=step: step(way) for name, way in ways.items()}
            best = side_by_side(steps, options.rounds, options.seconds / 4)
            name = f"{'deep ' * deep}{family}{'' if kernel is None else f', circular, {kernel} px'}"
            times = [f"{1e3 * best[way]:.1f}" for way in ways]
            rows.append([name, "training", *times, f"{best['net'] / best['map']:.1f} x"])
    return rows


def compare_sgd(options: argparse.Namespace) -> list[list[str]]:
    """Time the optimizer's own step for the nets with many weights."""
    rows = []
    for family in ("fully-connected", "locally-connected"):
        steps: dict[str, Step] = {}
        for kind in ({"foreach": False}, {"foreach": True}, {"fused": True}):
            net = ours(family, options.size, options.channels, relu=True)
            for parameter in net.parameters():
                parameter.grad = torch.ones_like(parameter)
            optimizer = torch.optim.SGD(net.parameters(), lr=1e-9, momentum=0.9, **kind)
            steps[str(kind)] = optimizer.step
        best = side_by_side(steps, options.rounds, options.seconds / 4)
        rows += [[f"deep {family}", k, f"{1e3 * v:.1f}"] for k, v in best.items()]
    return rows


def compare_variants(options: argparse.Namespace) -> list[list[str]]:
    """Forward + backward (weights and input) of one 32 -> 32 layer, several ways."""
    size, batch = options.size, options.batch
    x = torch.rand(batch, 32, size, size).requires_grad_()
    positions_first = torch.rand(size, size, batch, 32).permute(2, 3, 0, 1).requires_grad_()
    circular = CircularConv2d(32, 32, (size, size), (size, size))
    circular.direct = False
    local = LocallyConnected2d(32, 32, (size, size))
    for parameter in (*circular.parameters(), *local.parameters()):
        nn.init.uniform_(parameter, -0.01, 0.01)
    plain = nn.Conv2d(32, 32, size, padding="same", padding_mode="circular")

    def rfft2_einsum() -> Tensor:
        spectrum = torch.einsum(
            "bcyx,ocyx->boyx", torch.fft.rfft2(x), torch.fft.rfft2(circular.weight).conj()
        )
        return torch.fft.irfft2(spectrum, s=(size, size)) + circular.bias[:, None, None]

    def rfft2_bmm() -> Tensor:
        images = torch.fft.rfft2(x).permute(2, 3, 0, 1).flatten(0, 1)
        kernels = torch.fft.rfft2(circular.weight).conj().permute(2, 3, 1, 0).flatten(0, 1)
        spectrum = torch.bmm(images, kernels).view(size, -1, batch, 32).permute(2, 3, 0, 1)
        return torch.fft.irfft2(spectrum, s=(size, size)) + circular.bias[:, None, None]

    einsum_weight = nn.Parameter(torch.rand(32, 288, size * size) * 0.05)
    bmm_weight = nn.Parameter(torch.rand(size * size, 288, 32) * 0.05)

    def unfold_einsum() -> Tensor:
        return torch.einsum("bkp,okp->bop", F.unfold(x, 3, padding=1), einsum_weight)

    def unfold_bmm() -> Tensor:
        return torch.bmm(F.unfold(x, 3, padding=1).permute(2, 0, 1), bmm_weight)

    def slices_bmm() -> Tensor:
        padded = F.pad(positions_first, (1, 1, 1, 1)).permute(2, 3, 0, 1)
        shifts = [padded[i : i + size, j : j + size] for i in range(3) for j in range(3)]
        return torch.bmm(torch.cat(shifts, 3).view(size * size, batch, 288), bmm_weight)

    def both_ways(forward: Callable[[], Tensor]) -> Step:
        return lambda: forward().sum().backward()

    groups: dict[str, dict[str, Callable[[], Tensor]]] = {
        "full kernel": {
            "nn.Conv2d, circular padding": lambda: plain(x),
            "rfft2 + einsum": rfft2_einsum,
            "rfft2 + complex bmm per frequency": rfft2_bmm,
            "ours, channels first": lambda: circular(x),
            "ours, positions first": lambda: circular(positions_first),
        },
        "locally connected": {
            "unfold + einsum": unfold_einsum,
            "unfold + bmm": unfold_bmm,
            "slices + bmm, positions first": slices_bmm,
            "ours (views, no patches)": lambda: local(positions_first),
        },
    }
    rows = []
    for group, ways in groups.items():
        steps = {name: both_ways(way) for name, way in ways.items()}
        best = side_by_side(steps, options.rounds, options.seconds)
        first = next(iter(best.values()))
        rows += [[group, n, f"{1e3 * t:.1f}", f"{first / t:.1f} x"] for n, t in best.items()]
    return rows


PEAK = """
import sys, torch
from pathlib import Path
from torch.nn import functional as F
from bench.entries.model import Net
from bench.models.nets import build_net
family, deep, size, channels, batch = sys.argv[1], sys.argv[2] == "True", *map(int, sys.argv[3:])
net = Net(family=family, deep=deep, relu=True)
net = build_net(net, input_shape=(channels, size, size), classes=10, seed=0)
sgd = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
for _ in range(2):
    logits = net(torch.rand(batch, channels, size, size))
    F.cross_entropy(logits, torch.arange(batch) % 10).backward()
    sgd.step()
status = Path('/proc/self/status').read_text()
print(status.split('VmHWM:')[1].split()[0])
"""


def peak_memory(batch: int) -> list[list[str]]:
    """Return the peak of the whole process over two training steps, 32x32 colour images (Linux)."""
    rows = []
    for family in ("fully-connected", "full-conv", "locally-connected", "local-conv"):
        for deep in (False, True):
            arguments = [family, str(deep), "32", "3", str(batch)]
            done = subprocess.run(
                [sys.executable, "-c", PEAK, *arguments], check=True, capture_output=True, text=True
            )
            mebibytes = int(done.stdout) / 1024
            rows.append([f"{'deep ' if deep else ''}{family}", f"{mebibytes:.0f} MiB"])
    return rows


def main() -> None:
    """Run the parts that were asked for and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--size", type=int, default=28)
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=12, help="per comparison")
    parser.add_argument("--only", default="", help='as "ReLU, training": these nets and steps only')
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    parts = options.part or PARTS[:4]
    print(f"batch {options.batch}, {options.size} px, {options.threads} threads, smallest times")
    speed = ["net", "step", "plain ms", "ours ms", "ratio"]
    if "full" in parts:
        print(tabulate(compare_nets("full-conv", PlainFull, options), speed))
    if "local" in parts:
        print(tabulate(compare_nets("locally-connected", plain_local_net, options), speed))
    if "collapse" in parts:
        print(tabulate(compare_collapse(options), [*speed[:2], "net ms", "collapsed ms", "ratio"]))
    if "memory" in parts:
        print(tabulate(peak_memory(128), ["net, batch 128, 3x32x32", "peak of the process"]))
    if "map" in parts:
        print(tabulate(compare_map(options), [*speed[:2], "net ms", "map ms", "ratio"]))
    if "sgd" in parts:
        print(tabulate(compare_sgd(options), ["net", "SGD step", "ms"]))
    if "variants" in parts:
        print(tabulate(compare_variants(options), ["layer", "way", "ms", "against the first"]))


if __name__ == "__main__":
    main()
