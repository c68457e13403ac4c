"""Runs without a model: every row follows from its attack and id, so that any loss is seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from bench.metrics import METRICS
from bench.results.address import Address
from bench.results.block import Block
from bench.results.campaign import Unit
from bench.results.filesystem import FileSystem, LocalFiles
from bench.results.merge import Merged
from bench.results.store import Store
from bench.results.tables import Tables, block_tables
from bench.results.workplace import Task, Timing, Workplace, at_work

ATTACKS = ("pgd-l2", "bb-l2")
SIZE = 4
"""Samples of a block."""
QUICK = Timing(beat=0.05, stale=0.5, poll=0.01, longest=0.05)
ADDRESS = Address("quick", "digits", "toy")


def attack_hash(attack: str) -> str:
    """A made-up identity of an attack."""
    return {"pgd-l2": "a", "bb-l2": "b"}[attack] * 64


def metadata(**other: Any) -> dict[str, Any]:
    """The metadata of a run."""
    return {
        "schema_version": 1,
        "protocol": "quick",
        "protocol_hash": "p" * 64,
        "model": "toy",
        "dataset": "digits",
        "weights_sha256": "w" * 64,
        "data_fingerprint": "d" * 64,
        "seed": 1,
        "partial": False,
        "attacks": {name: {"steps": 3} for name in ATTACKS},
        "expected": dict.fromkeys(ATTACKS, 12),
        **other,
    }


def task(
    files: FileSystem | Path,
    ids: Sequence[int] = range(12),
    attacks: Sequence[str] = ATTACKS,
    *,
    anew: bool = False,
    deltas: bool = False,
    **other: Any,
) -> Task:
    """A run's task."""
    storage = LocalFiles(files) if isinstance(files, Path) else files
    asked = {attack: list(ids) for attack in attacks}
    return Task(Store(storage, ADDRESS), metadata(**other), asked, SIZE, anew, deltas)


def value(attack: str, sample: int, version: float = 0.0) -> float:
    """What is measured."""
    return sample + (0.25 if attack == "bb-l2" else 0.0) + version / 1000


def tables(unit: Unit, deltas: bool = False, version: float = 0.0) -> Tables:
    """The block of a unit. Samples that 5 divides are classified wrongly and not attacked."""
    ids = np.asarray(unit.ids)
    right = ids % 5 != 0
    truth = np.array([value(unit.attack, i, version) for i in unit.ids])
    columns: dict[str, Any] = {"label": ids % 3, "clean_pred": ids % 3, "adv_pred": ids % 3}
    for metric in METRICS:
        one = np.where(right, truth, np.nan)
        columns[metric.name] = one if metric.length is None else np.tile(one[:, None], 64)
    columns |= {"clean_correct": right, "success": right, "zero_grad": np.zeros(len(ids), np.int8)}
    columns["status"] = np.where(right, "ok", "clean_wrong").astype(object)
    columns["seconds"] = np.where(right, 1.0, np.nan).astype(np.float32)
    kept = [int(i) for i in ids[right]]
    images = [np.full((1, 2, 2), i, np.float32) for i in kept]
    block = Block(
        unit.attack,
        attack_hash(unit.attack),
        unit.ids,
        columns,
        np.full((2, 2), truth[right].sum()),
        len(kept),
        tuple((i, image, image) for i, image in zip(kept, images, strict=True))[:4],
        delta_ids=tuple(kept) if deltas else (),
        lean=np.stack(images) if deltas and images else None,
        lean_bits=np.full(len(kept) if deltas else 0, 32, np.int8),
    )
    names = ("protocol", "protocol_hash", "model", "dataset")
    return block_tables(block, {name: metadata()[name] for name in names})


def describe(merged: Merged) -> dict[str, Any]:
    """What a finished file says besides."""
    return {"present": merged.present}


def work(
    asked: Task,
    *,
    version: float = 0.0,
    timing: Timing = QUICK,
    begin_at: float = 0.0,
    each: Callable[[Workplace, Unit], None] = lambda place, unit: None,
) -> list[str]:
    """Measure what is missing; return the names of the units that this process measured."""
    done = []
    with at_work(asked, timing) as place:
        place.begin({**asked.metadata, "pace": {}})
        while True:
            for unit in place.units(begin_at):
                each(place, unit)
                place.write(unit, tables(unit, asked.deltas, version))
                done.append(unit.name)
            if place.finish(describe):
                break
        place.verify()
    return done


def result(folder: Path, kind: str = "") -> Path:
    """The finished file, or one beside it."""
    return folder / "quick" / "digits" / f"toy{kind}.parquet"


def check(
    folder: Path,
    ids: Sequence[int] = range(12),
    attacks: Sequence[str] = ATTACKS,
    version: Callable[[str, int], float] | None = lambda attack, sample: 0.0,
    tidy: bool = True,
) -> None:
    """Assert that the file holds every row once and in order, and that its sides agree with it.

    Without `version` the rows may be of version 0 or of version 1, but all of the same.
    """
    rows = pq.read_table(result(folder)).to_pandas()
    found = list(zip(rows["attack"].astype(str), rows["sample_id"], strict=True))
    assert found == [(a, i) for a in attacks for i in sorted(ids)]
    if version is None:
        first = rows["rfc"].dropna().iloc[0]
        every = 0.0 if first == value(rows["attack"].iloc[0], 1) else 1.0
        version = lambda attack, sample: every  # noqa: E731
    for attack, sample, rfc in zip(rows["attack"], rows["sample_id"], rows["rfc"], strict=True):
        right = sample % 5 != 0
        truth = value(attack, sample, version(attack, sample))
        assert rfc == truth if right else np.isnan(rfc)
    extras = pq.read_table(result(folder, ".extras")).to_pandas()
    for attack in attacks:
        mine = extras[extras["attack"] == attack]
        (spectrum,) = mine[mine["kind"] == "spectrum"].to_dict("records")
        kept = rows[(rows["attack"] == attack) & rows["success"]]
        assert spectrum["n"] == len(kept)
        assert np.allclose(spectrum["values"], kept["rfc"].mean(), rtol=1e-6)
        shown = mine[mine["kind"] == "example"]["sample_id"].tolist()
        assert shown == kept["sample_id"].tolist()[:4]
    saved = result(folder, ".perturbations")
    if saved.exists():
        there = pq.read_table(saved).to_pylist()
        assert len({(row["attack"], row["sample_id"]) for row in there}) == len(there)
        assert all(row["sample_id"] % 5 and row["sample_id"] in ids for row in there)
    assert tidy == (not list(folder.rglob("*.blocks")))
    assert not list(folder.rglob("*.tmp"))
