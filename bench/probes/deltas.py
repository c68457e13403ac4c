"""Minimal perturbations of a unit's samples, and controls of the same norm."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bench.attacks.run import attack_batch
from bench.measure.job import Job
from bench.probes.controls import noise, of_norm
from bench.probes.kinds import ATTACK, IMAGE


def attacked(job: Job, x: Tensor, y: Tensor, ids: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Run the protocol's primary attack, as an evaluation does.

    Args:
        job: with that attack alone.
        x: (B, C, H, W) images; y: (B,) classes to attack from; ids: of the samples.

    Returns:
        (B, C, H, W) perturbations, and (B,) bool which of them fool.
    """
    (name,) = job.attacks
    spec = job.attacks[name]
    starts, ok = None, None
    if spec.needs_starts:
        starts, ok = job.starts.starts(name, tuple(ids), y.tolist(), x)
    outcome = attack_batch(job.model, spec, x, y, starts, ok, job.step)
    broken = outcome.nonfinite | outcome.stalled | outcome.init_failed
    return outcome.adversarial - x, (outcome.adv_pred != y) & ~broken


def control(
    kind: str, x: Tensor, delta: Tensor, ids: Sequence[int], seed: int, purpose: str
) -> Tensor:
    """Return a control of each perturbation's norm, (B, C, H, W); ATTACK: the perturbation itself.

    Args:
        kind: one of `bench.probes.kinds.PERTURBATIONS`.
        x: (B, C, H, W) clean images; delta: perturbations; ids: of the samples.
        seed, purpose: of the draws.
    """
    if kind == ATTACK:
        return delta
    size = torch.linalg.vector_norm(delta.flatten(1), dim=1)
    if kind == IMAGE:
        return of_norm(x - x.mean(dim=(2, 3), keepdim=True), size).nan_to_num(0.0)
    found: Tensor = noise(kind, x, ids, seed, purpose) * size[:, None, None, None]
    return found
