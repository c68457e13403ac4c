"""The small quadratic problems in the multipliers of a few cuts, a whole batch at once."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

RIDGE = 1e-9
"""Added to the diagonal, relative to its largest entry: parallel cuts share their multiplier."""


def nonnegative_minimum(hessian: Tensor, linear: Tensor, used: Tensor) -> Tensor:
    """Return the m >= 0 that minimise m . H m / 2 - q . m.

    All subsets of positive multipliers are tried, in float64: with at most a handful of cuts this
    is exact, of fixed cost, and needs no pivoting that would depend on the batch.

    Args:
        hessian: (P, M, M) symmetric, positive semidefinite.
        linear: (P, M), the q.
        used: (P, M) bool; multipliers of other cuts are 0.

    Returns:
        (P, M) float64.
    """
    h, q = hessian.double(), linear.double()
    count = h.shape[1]
    if count == 1:
        return torch.where(used, q / h[:, :, 0].clamp_min(1e-30), 0.0).clamp_min(0)
    chosen = _subsets(count, str(h.device))  # (S, M)
    scale = h.diagonal(dim1=1, dim2=2).amax(1).clamp_min(1e-30)
    on = chosen[None] & used[:, None]  # (P, S, M)
    both = on[..., :, None] & on[..., None, :]
    eye = torch.eye(count, dtype=h.dtype, device=h.device)
    ridge = torch.where(on, RIDGE, 1.0)[..., None] * eye * scale[:, None, None, None]
    systems = torch.where(both, h[:, None], 0.0) + ridge
    right = torch.where(on, q[:, None], 0.0)
    found = _solve(systems, right)
    gain = (found * right).sum(2)
    gain = torch.where((found >= 0).all(2) & gain.isfinite(), gain, -1.0)
    best = gain.argmax(1)
    return found.gather(1, best[:, None, None].expand(-1, 1, count))[:, 0]


def _solve(systems: Tensor, right: Tensor) -> Tensor:
    """Solve (..., M, M) positive definite systems by elimination; LAPACK takes one at a time."""
    count = right.shape[-1]
    a, x = systems.clone(), right.clone()
    for k in range(count):
        pivot = a[..., k, k].clamp_min(1e-300)
        factor = a[..., k + 1 :, k] / pivot[..., None]
        a[..., k + 1 :, k:] -= factor[..., None] * a[..., k : k + 1, k:]
        x[..., k + 1 :] -= factor * x[..., k : k + 1]
    for k in reversed(range(count)):
        known = (a[..., k, k + 1 :] * x[..., k + 1 :]).sum(-1)
        x[..., k] = (x[..., k] - known) / a[..., k, k].clamp_min(1e-300)
    return x


@cache
def _subsets(count: int, device: str) -> Tensor:
    """Return all subsets of `count` things, (2^count, count) bool."""
    numbers = torch.arange(2**count, device=device)
    return (numbers[:, None] >> torch.arange(count, device=device)) % 2 == 1
