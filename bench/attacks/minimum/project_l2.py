"""The nearest perturbation in L2 that satisfies all cuts within the box, for a batch of pairs."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.attacks.minimum.cuts import Cuts
from bench.attacks.minimum.multipliers import nonnegative_minimum


def project_l2(cuts: Cuts, low: Tensor, high: Tensor, rounds: int) -> Tensor:
    """Return argmin |delta|_2 under the cuts and low <= delta <= high; sets the multipliers.

    The minimum is clip(sum of m_k normal_k) with multipliers m >= 0 that maximise a concave
    function, piecewise quadratic. Newton's method on it: with the pixels clipped as they are, the
    multipliers solve a small quadratic problem; a fixed number of rounds, from the last solution.

    Args:
        cuts: of P pairs; `multipliers` is the first guess and holds the solution afterwards.
        low: (P, D) <= 0, lower end of delta; high: (P, D) >= 0.
        rounds: how many Newton steps.

    Returns:
        (P, D). Cuts that the box doesn't let it reach stay violated.
    """
    m = cuts.multipliers
    for _ in range(rounds):
        wanted = _sum(m, cuts.normals)
        delta = torch.clamp(wanted, low, high)
        free = (wanted == delta).to(wanted.dtype)
        hessian = torch.bmm(cuts.normals * free[:, None], cuts.normals.transpose(1, 2))
        missing = -cuts.values(delta)
        linear = missing + torch.bmm(hessian, m[:, :, None])[:, :, 0]
        m = nonnegative_minimum(hessian, linear, cuts.used).to(m.dtype)
    cuts.multipliers = m
    return torch.clamp(_sum(m, cuts.normals), low, high)


def _sum(multipliers: Tensor, normals: Tensor) -> Tensor:
    return torch.bmm(multipliers[:, None], normals)[:, 0]
