"""A near perturbation in Linf that satisfies all cuts within the box, for a batch of pairs."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.attacks.minimum.cuts import Cuts
from bench.attacks.minimum.multipliers import nonnegative_minimum

CHANGE = 2.0
"""The radius changes at most by this factor in one round."""


def project_linf(
    cuts: Cuts,
    low: Tensor,
    high: Tensor,
    centre: Tensor,
    radius: Tensor,
    weight: Tensor,
    rounds: int,
) -> tuple[Tensor, Tensor]:
    """Minimise s + |delta - centre|^2 / (2 weight) under the cuts, |delta| <= s and the box.

    The plain problem is a linear program with many solutions or a sudden one; the quadratic term
    keeps the step near the best point known. Newton's method on the multipliers and s together: for
    given ones delta = clip(centre + sum of m_k normal_k) to the box and to s, and s balances what
    the pixels at its end are pulled beyond it.

    Args:
        cuts: of P pairs; `multipliers` is the first guess and holds the solution afterwards, in
            units of pixels (those of the problem times `weight`).
        low: (P, D) <= 0, lower end of delta; high: (P, D) >= 0.
        centre: (P, D), the best point so far.
        radius: (P,), first guess of s.
        weight: (P,) > 0.
        rounds: how many Newton steps.

    Returns:
        delta (P, D) and s (P,), of the last round.
    """
    m, s = cuts.multipliers, radius
    for _ in range(rounds):
        wanted, delta, ends, free = _point(cuts, m, s, centre, low, high)
        count = ends.abs().sum(1).clamp_min(1)
        beyond = ((wanted * ends).sum(1) - s * ends.abs().sum(1)) - weight
        slope = torch.bmm(cuts.normals, ends[:, :, None])[:, :, 0]  # (P, M), by s
        hessian = torch.bmm(cuts.normals * free[:, None], cuts.normals.transpose(1, 2))
        hessian = hessian + slope[:, :, None] * slope[:, None] / count[:, None, None]
        missing = -cuts.values(delta) - slope * (beyond / count)[:, None]
        linear = missing + torch.bmm(hessian, m[:, :, None])[:, :, 0]
        new = nonnegative_minimum(hessian, linear, cuts.used).to(m.dtype)
        change = (beyond + (slope * (new - m)).sum(1)) / count
        m, s = new, torch.clamp(s + change, s / CHANGE, s * CHANGE)
    cuts.multipliers = m
    return _point(cuts, m, s, centre, low, high)[1], s


def _point(
    cuts: Cuts, m: Tensor, s: Tensor, centre: Tensor, low: Tensor, high: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return for these multipliers and radius: unclipped and clipped delta, ends, free (P, D).

    Ends are -1 or 1 where the radius clips (and the box would not), free is 1 where nothing does.
    """
    wanted = torch.baddbmm(centre[:, None], m[:, None], cuts.normals)[:, 0]
    in_box = torch.clamp(wanted, low, high)
    delta = torch.clamp(in_box, -s[:, None], s[:, None])
    free = (wanted == delta).to(wanted.dtype)
    ends = (in_box - delta).sign_()
    # a pixel that the box clips beyond the radius is pulled by what it wants, as are the others
    return wanted, delta, ends, free
