"""The only loop: a block of samples -> attack -> columns. Knows nothing of files.

A block is one attack on a fixed set of sample ids. Blocks are independent and idempotent: an
engine may run them in any order, on any machine, and again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from torch import Tensor

from bench.attacks.run import attack_batch
from bench.attacks.starts import NO_CLASS
from bench.measure.job import CleanBlock, Job
from bench.measure.lean import lean
from bench.measure.memory import in_parts
from bench.measure.rows import Part, Rows, assemble
from bench.metrics import METRICS, Measured
from bench.results.block import Block
from bench.spectrum import mean_map, normalised_power, power_spectrum, spectral_metrics


def run_block(
    job: Job,
    attack: str,
    sample_ids: Sequence[int],
    keep_deltas: bool = False,
    through: Callable[[int], None] = lambda samples: None,
) -> Block:
    """Attack a block and measure every column.

    Only samples that are classified correctly are attacked; the others are `clean_wrong`.

    Args:
        job: model, data and settings.
        attack: name of one of the job's attacks.
        sample_ids: ids of the block, in order.
        keep_deltas: also return every perturbation, and as it is to be stored.
        through: told how many more samples of the block are through, batch by batch.

    Raises:
        BenchError: the model's logits are unusable.
    """
    ids = tuple(int(i) for i in sample_ids)
    images, labels = job.load(ids), job.labels(ids)
    clean = job.clean(ids, images, labels)
    rows = Rows(len(ids))
    rows.put("label", slice(None), labels)
    rows.put("clean_pred", slice(None), clean.pred)
    correct = (clean.pred == labels).nonzero()[:, 0]
    rows.status[correct.cpu().numpy()] = "ok"
    rows.status[(clean.pred == NO_CLASS).cpu().numpy()] = "nonfinite"
    through(len(ids) - len(correct))

    def attack_some(some: Tensor) -> Part:
        part = _attack_part(job, attack, ids, images, labels, clean, some, keep_deltas)
        through(len(some))
        return part

    smaller = None if job.step is None else job.step.at_most
    parts = in_parts(attack_some, correct, job.batch_size, smaller)
    for part in parts:
        rows.fill(part, labels, clean.zero_grad)
    return assemble((attack, job.attack_hash(attack)), ids, rows, parts, images.shape, keep_deltas)


def _attack_part(
    job: Job,
    attack: str,
    ids: tuple[int, ...],
    images: Tensor,
    labels: Tensor,
    clean: CleanBlock,
    chosen: Tensor,
    keep: bool,
) -> Part:
    spec = job.attacks[attack]
    x, y = images[chosen], labels[chosen]
    part_ids = tuple(ids[int(i)] for i in chosen)
    begin = time.perf_counter()
    starts, ok = None, None
    if spec.needs_starts:
        starts, ok = job.starts.starts(attack, part_ids, y.tolist(), x)
    outcome = attack_batch(job.model, spec, x, y, starts, ok, job.step)
    seconds = (time.perf_counter() - begin) / max(len(part_ids), 1)
    delta = outcome.adversarial - x
    wide = delta.double()
    power = power_spectrum(wide)
    measured = Measured(
        clean=x,
        adversarial=outcome.adversarial,
        delta=wide,
        spectrum=spectral_metrics(wide, power),
        image_rfc=clean.image_rfc[chosen],
        grad_rfc=clean.grad_rfc[chosen],
    )
    metrics = {m.name: m.values(measured) for m in METRICS}
    return Part(
        chosen=chosen,
        ids=part_ids,
        images=x,
        outcome=outcome,
        delta=delta,
        metrics=metrics,
        zero=(delta == 0).flatten(1).all(1),
        maps=mean_map(normalised_power(power)),
        seconds=seconds,
        stored=lean(x, delta, metrics, measured) if keep else None,
    )
