"""What `--dry-run` prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bench.board.tabular import tabular
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.run.cost import AttackCost, Cost


def assumed(texts: list[str]) -> dict[str, float]:
    """Read `--assume NAME=RATE`: images a second, forward and backward, on another device.

    Raises:
        BenchError: it is not spelt so.
    """
    found = {}
    for text in texts:
        name, sign, rate = text.rpartition("=")
        try:
            value = float(rate)
        except ValueError:
            value = 0.0
        if not sign or not name or not 0 < value < float("inf"):
            raise BenchError(
                f"expected --assume NAME=RATE, such as h100=2000 (images a second, forward and "
                f"backward), got {text!r}"
            )
        found[name] = value
    return found


def cost_table(cost: Cost, elsewhere: Mapping[str, float]) -> str:
    """Return the lines of `--dry-run`.

    Args:
        cost: of the run.
        elsewhere: device -> images a second that the user assumes for it.
    """
    lines = [_line(each) for each in cost.attacks]
    known = {each.width.dataset: each.width.models for each in cost.attacks if each.width.models}
    judged = ", ".join(
        f"{n} measured models on {name}{'' if name == cost.dataset else ', another data set'}"
        for name, n in known.items()
    )
    text = (
        f"{cost.model}: {100 * cost.accuracy:.1f} % of the images are attacked (accuracy: "
        f"{cost.accuracy_from})\nTimed: {cost.timed}; peak memory {_bytes(cost.memory_bytes)}\n"
        + tabular(lines, left=())
        + f"\nabout {_hours(cost.seconds)} hours here in all, {cost.passes:,} passes; minimal "
        "attacks may end sooner, as samples that have converged leave.\n"
    )
    for name, rate in elsewhere.items():
        hours = cost.passes / rate / 3600
        text += f"on {name}: {hours:.2f} hours at the {rate:g} images/s that you assume\n"
    if not elsewhere:
        text += "on another device: add --assume NAME=IMAGES_PER_SECOND (forward and backward)\n"
    text += (
        f"RFC +-: half of the 95 % interval to expect, narrowest to widest of {judged}.\n"
        if judged
        else "RFC +-: unknown, as no submitted result of this protocol was found.\n"
    )
    hub = f"weights, {_bytes(cost.weights_bytes)} unless cached" if cost.weights_bytes else "none"
    return (
        f"{text}Results: about {_bytes(cost.result_bytes)}. Downloads of weights: {hub}. "
        "Nothing was run and nothing written.\n"
    )


def _line(each: AttackCost) -> dict[str, object]:
    width = each.width
    same = f"{width.low:.4f}" == f"{width.high:.4f}"
    halves = f"{width.low:.4f}" if same else f"{width.low:.4f} to {width.high:.4f}"
    return {
        "attack": each.attack,
        "samples": f"{each.attacked:,} of {each.samples:,}"
        + (f" ({each.done:,} done)" if each.done else ""),
        "passes": f"{each.passes:,}",
        "hours": _hours(each.seconds),
        "RFC +-": halves if width.models else "-",
    }


def _hours(seconds: tuple[float, float, float]) -> str:
    low, mid, high = (f"{one / 3600:.3g}" for one in seconds)
    return mid if low == high else f"{mid} ({low} to {high})"


def _bytes(count: int) -> str:
    for unit, size in (("GiB", 2**30), ("MiB", 2**20)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 1024:.0f} KiB"
