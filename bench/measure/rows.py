"""A block's result: attacked batches put together into columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bench.attacks.run import AttackOutcome
from bench.metrics import METRICS
from bench.results.block import EXAMPLES, Block


@dataclass(frozen=True)
class Part:
    """One attacked batch of a block; `chosen` are its places in the block."""

    chosen: Tensor
    ids: tuple[int, ...]
    images: Tensor
    outcome: AttackOutcome
    delta: Tensor
    metrics: dict[str, Tensor]
    zero: Tensor
    maps: Tensor
    seconds: float
    stored: tuple[Tensor, Tensor] | None = None
    """The perturbations as they are to be stored, and the bits of each (`bench.measure.lean`)."""


class Rows:
    """The columns of one block while they are filled."""

    def __init__(self, count: int) -> None:
        self.columns: dict[str, npt.NDArray[Any]] = {
            name: np.full(count, -1, dtype=np.int32) for name in ("label", "clean_pred", "adv_pred")
        }
        for metric in METRICS:
            shape = (count,) if metric.length is None else (count, metric.length)
            self.columns[metric.name] = np.full(shape, np.nan)
        self.columns["zero_grad"] = np.full(count, -1, dtype=np.int8)
        self.columns["seconds"] = np.full(count, np.nan, dtype=np.float32)
        self.status = np.full(count, "clean_wrong", dtype=object)

    def put(self, name: str, where: Any, values: Tensor) -> None:
        self.columns[name][where] = values.cpu().numpy()

    def fill(self, part: Part, labels: Tensor, zero_grad: Tensor) -> None:
        """Enter one attacked batch; a sample without a usable result keeps its gaps.

        A stalled sample has a perturbation, which is measured like any other; it is its status
        that keeps it out of success and means.
        """
        outcome = part.outcome
        where = part.chosen.cpu().numpy()
        status = np.full(len(where), "ok", dtype=object)
        status[(outcome.adv_pred == labels[part.chosen]).cpu().numpy()] = "not_fooled"
        status[part.zero.cpu().numpy()] = "zero"
        status[outcome.stalled.cpu().numpy()] = "stalled"
        status[outcome.nonfinite.cpu().numpy()] = "nonfinite"
        status[outcome.init_failed.cpu().numpy()] = "init_failed"
        self.status[where] = status
        usable = ~(outcome.nonfinite | outcome.init_failed)
        there = where[usable.cpu().numpy()]
        self.put("adv_pred", there, outcome.adv_pred[usable])
        for name, values in part.metrics.items():
            self.put(name, there, values[usable])
        self.put("zero_grad", there, zero_grad[part.chosen][usable])
        self.columns["seconds"][where] = part.seconds


def assemble(
    attack: tuple[str, str],
    ids: tuple[int, ...],
    rows: Rows,
    parts: Sequence[Part],
    shape: torch.Size,
    keep_deltas: bool,
) -> Block:
    """Return a block from its filled columns; `attack` is name and hash."""
    side = (min(shape[2], 64), min(shape[3], 64))
    total, kept = np.zeros(side), 0
    examples: list[tuple[int, npt.NDArray[np.float32], npt.NDArray[np.float32]]] = []
    for part in parts:
        place = {sample: i for i, sample in enumerate(ids)}
        ok = [i for i, s in enumerate(part.ids) if rows.status[place[s]] == "ok"]
        total += part.maps[ok].sum(0).cpu().numpy() if ok else 0.0
        kept += len(ok)
        for i in ok[: EXAMPLES - len(examples)]:
            examples.append(
                (part.ids[i], part.images[i].cpu().numpy(), part.delta[i].cpu().numpy())
            )
    correct = rows.columns["label"] == rows.columns["clean_pred"]
    columns = dict(rows.columns)
    columns["clean_correct"] = correct
    columns["success"] = correct & np.isin(rows.status, ["ok"])
    columns["status"] = rows.status
    deltas = lean = None
    bits = np.zeros(0, dtype=np.int8)
    if keep_deltas:
        empty = np.zeros((0, *shape[1:]), dtype=np.float32)
        deltas = np.concatenate([empty, *(p.delta.cpu().numpy() for p in parts)])
        stored = [p.stored for p in parts if p.stored is not None]
        lean = np.concatenate([empty, *(values.cpu().numpy() for values, _ in stored)])
        bits = np.concatenate([bits, *(b.cpu().numpy() for _, b in stored)])
    return Block(
        attack=attack[0],
        attack_hash=attack[1],
        sample_ids=ids,
        columns=columns,
        spectrum_sum=total,
        kept=kept,
        examples=tuple(examples),
        deltas=deltas,
        lean=lean,
        lean_bits=bits,
        delta_ids=tuple(s for p in parts for s in p.ids),
    )
