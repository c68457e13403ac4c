"""The engine for one machine: runs the missing blocks one after the other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Protocol

from bench.measure.block import run_block
from bench.results.provenance import now
from bench.run.machine import threads_for
from bench.run.plan import Plan


class Progress(Protocol):
    """Who is told how far a run is."""

    def begin(self, attack: str, total: int, done: int) -> None:
        """An attack begins: so many samples, so many of them finished earlier."""

    def advance(self, attack: str, samples: int) -> None:
        """So many more samples of the attack are through."""


class Silent:
    """Progress that nobody looks at."""

    def begin(self, attack: str, total: int, done: int) -> None:
        """Say nothing."""

    def advance(self, attack: str, samples: int) -> None:
        """Say nothing."""


def run(plan: Plan, progress: Progress) -> None:
    """Run what is missing of a plan, block by block, then merge the blocks into its file.

    A block is on disk before the next one starts, so an interruption loses one block at most.

    Raises:
        BenchError: the model or the disk failed; finished blocks are kept.
        KeyboardInterrupt: passed on; finished blocks are kept.
    """
    plan.store.check(plan.identity, plan.request.overwrite)
    if plan.request.overwrite:
        plan.store.drop_blocks()
    todo = {attack: plan.missing(attack) for attack in plan.attacks}
    if not any(todo.values()) and not plan.store.blocks.exists():
        return
    pace = {key: plan.metadata[key] for key in ("batch_size", "step")}
    plan.store.begin({**plan.identity, "started": plan.metadata["started"], "pace": pace})
    values = min(plan.job.batch_size, len(plan.sample_ids)) * math.prod(plan.loaded.input_shape)
    with threads_for(values, plan.job.device):
        _run_blocks(plan, todo, progress)
    finish(plan)


def _run_blocks(
    plan: Plan, todo: Mapping[str, Sequence[tuple[int, ...]]], progress: Progress
) -> None:
    for attack, blocks in todo.items():
        total = len(plan.sample_ids)
        progress.begin(attack, total, total - sum(len(block) for block in blocks))
        for ids in blocks:
            block = run_block(
                plan.job,
                attack,
                ids,
                keep_deltas=plan.request.save_perturbations,
                through=partial(progress.advance, attack),
            )
            plan.store.write_block(block, plan.constants)


def finish(plan: Plan) -> None:
    """Merge the blocks of a plan into its file, with the metadata."""
    plan.store.finish(
        list(plan.protocol.attacks),
        {
            **plan.metadata,
            "started": plan.store.noted("started") or plan.metadata["started"],
            "ended": now(),
        },
    )
