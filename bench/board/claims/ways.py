"""One comparison in one way: the values of its sides, seed by seed and image by image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.board.claims.cells import Net
from bench.board.claims.pairs import Comparison
from bench.stats.bootstrap import Bools, Floats
from bench.stats.contrasts import at_loss

WAYS = {
    "end": "at the end",
    "epoch": "at equal epochs",
    "loss": "at equal training loss",
    "accuracy": "at equal test accuracy",
    "growth": "end minus untrained",
}
"""Way -> words; a single epoch is `epoch N`."""


@dataclass(frozen=True)
class Laid:
    """The sides of a comparison in one way, M sides, S seeds, n ids.

    Attributes:
        values: (M, S, n), NaN where a seed is not there.
        kept: (M, S, n).
        weights: (M,).
        detail: at which loss, accuracy or epochs.
        why: why they can't be compared this way; None: they can.
    """

    values: Floats
    kept: Bools
    weights: Floats
    detail: str = ""
    why: str | None = None


def lay(
    comparison: Comparison,
    way: str,
    nets: Mapping[str, Net],
    metric: str,
    against: str | None = None,
) -> Laid:
    """Return a comparison's values in one way, of the seeds that all its sides have.

    Where every seed has images of its own, an id is another image in each, so each seed has the
    mean over its own ids, repeated: seeds then carry the error of images too.

    Args:
        comparison: with all its sides.
        way: "end", "epoch", "loss", "accuracy", "growth", or "epoch N".
        nets: what is measured.
        metric: the quantity.
        against: one that is taken off it, image by image.
    """
    laid = _lay(comparison, way, nets, metric, against)
    names = [name for side in comparison.sides for name in side.cells.values() if name in nets]
    return _by_seed(laid) if any(_own_images(nets[name]) for name in names) else laid


def _own_images(net: Net) -> bool:
    factors = net.cell.factors
    return factors.data == "planted" and factors.data_seed is None


def _by_seed(laid: Laid) -> Laid:
    """Give every id of a seed that seed's mean over the ids that all sides keep."""
    mask = (laid.kept & np.isfinite(laid.values)).all(axis=0)
    counts = mask.sum(axis=1)
    fewest = int(counts[counts > 0].min()) if (counts > 0).any() else 0
    total = np.where(mask, laid.values, 0.0).sum(axis=2)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = total / counts
    values = np.repeat(means[:, :, None], fewest, axis=2)
    return Laid(values, np.isfinite(values), laid.weights, laid.detail, laid.why)


def _lay(
    comparison: Comparison,
    way: str,
    nets: Mapping[str, Net],
    metric: str,
    against: str | None = None,
) -> Laid:
    weights = np.array([side.weight for side in comparison.sides])
    sides = _common_seeds(comparison, nets)
    ids = max((len(r.kept) for side in sides for net in side for r in net.rows.values()), default=0)
    shape = (len(sides), len(sides[0]) if sides else 0, ids)
    laid = Laid(np.full(shape, np.nan), np.zeros(shape, dtype=bool), weights)
    if shape[1] == 0:
        return laid
    if way in ("loss", "accuracy"):
        return _matched(laid, sides, way, metric, against)
    detail = ""
    if way == "epoch":
        epochs = _common_epochs(sides)
        if not epochs:
            return _not(laid, "no checkpoint in common")
        detail = "epochs " + ", ".join(map(str, epochs))
    for m, side in enumerate(sides):
        for s, net in enumerate(side):
            wanted = epochs if way == "epoch" else _epochs(way, net)
            if any(e not in net.rows for e in wanted):
                continue
            parts = [_filled(net, e, metric, against, ids) for e in wanted]
            signs = [-1.0, 1.0] if way == "growth" else [1 / len(parts)] * len(parts)
            laid.values[m, s] = np.einsum("e,en->n", signs, np.stack([v for v, _ in parts]))
            laid.kept[m, s] = np.logical_and.reduce([k for _, k in parts])
    return Laid(laid.values, laid.kept, weights, detail)


def _epochs(way: str, net: Net) -> list[int]:
    if way == "growth":
        return [0, net.end]
    return [net.end] if way == "end" else [int(way.removeprefix("epoch "))]


def _common_seeds(comparison: Comparison, nets: Mapping[str, Net]) -> list[list[Net]]:
    """Return the nets of each side that are measured, of the seeds that all sides have."""
    seeds = sorted(
        set.intersection(
            *(
                {s for s, name in side.cells.items() if name in nets and nets[name].rows}
                for side in comparison.sides
            )
        )
    )
    return [[nets[side.cells[s]] for s in seeds] for side in comparison.sides]


def _common_epochs(sides: Sequence[Sequence[Net]]) -> list[int]:
    """Return the checkpoints that all nets have, without the untrained one."""
    shared = set.intersection(*(set(net.rows) for side in sides for net in side))
    return sorted(shared - {0})


def _filled(
    net: Net, epoch: int, metric: str, against: str | None, ids: int
) -> tuple[Floats, Bools]:
    """Return values and kept of a net at a checkpoint, padded to (ids,)."""
    rows = net.rows[epoch]
    values, kept = np.full(ids, np.nan), np.zeros(ids, dtype=bool)
    found = rows.values[metric]
    if against is not None:
        found = found - rows.values[against]
    values[: len(found)], kept[: len(found)] = found, rows.kept
    return values, kept


def _matched(
    laid: Laid, sides: Sequence[Sequence[Net]], way: str, metric: str, against: str | None
) -> Laid:
    """Interpolate every net to the lowest loss (or error) that all reach after their first
    checkpoint."""
    curves = [[_falling(net, way) for net in side] for side in sides]
    if any(len(epochs) < 2 for side in curves for epochs, _ in side):
        return _not(laid, "fewer than two checkpoints along training")
    target = max(float(falling.min()) for side in curves for _, falling in side)
    starts = min(float(falling[0]) for side in curves for _, falling in side)
    name = "training loss" if way == "loss" else "test error"
    if starts <= target:
        return _not(
            laid,
            f"some have less {name} at their first checkpoint than others at their last",
        )
    ids = laid.kept.shape[2]
    for m, side in enumerate(sides):
        for s, net in enumerate(side):
            epochs, falling = curves[m][s]
            parts = [_filled(net, e, metric, against, ids) for e in epochs]
            found, usable = at_loss(
                falling[None],
                np.stack([v for v, _ in parts])[None],
                np.stack([k for _, k in parts])[None],
                target,
            )
            laid.values[m, s], laid.kept[m, s] = found[0], usable[0]
    shown = f"loss {target:.4f}" if way == "loss" else f"accuracy {100 - target:.2f} %"
    return Laid(laid.values, laid.kept, laid.weights, shown)


def _falling(net: Net, way: str) -> tuple[list[int], Floats]:
    """Return the trained checkpoints of a net, and its loss or error in percent at each."""
    epochs = [e for e in sorted(net.rows) if e > 0 and e in net.points]
    if way == "loss":
        return epochs, np.array([net.points[e]["loss"] for e in epochs])
    return epochs, np.array([100 - net.points[e]["test_accuracy"] for e in epochs])


def _not(laid: Laid, why: str) -> Laid:
    return Laid(laid.values, laid.kept, laid.weights, why=why)
