"""The trust-region problem of `bench.attacks.brendel_bethge.trust_region` for the L2 distance.

If the trust region does not bind, z = clip(x0 + t b) with one unknown t. If it binds, the step is
clip(tau (x0 - x) - nu b) within [0, 1] with two unknowns, which have a closed form once it is known
which pixels are clipped; that set settles in a few rounds.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.attacks.brendel_bethge.trust_region import (
    ROUNDING,
    Problem,
    column,
    directed,
    dot,
    fill,
    furthest_to_plane,
    shortest_to_plane,
)

ROUNDS = 12
"""Largest number of rounds for the set of clipped pixels."""
PLANE, REGION = 1e-4, 1e-2
"""Relative residuals of the plane and of the squared radius at which a step is good."""


def solve_l2(problem: Problem) -> tuple[Tensor, Tensor]:
    """Return the next points z (B, D) in [0, 1], and |z - x0| (B,) if no trust region bound it."""
    z, distance, fits = _without_region(problem)
    rest = (~fits).nonzero()[:, 0]
    if len(rest):
        bound = problem if len(rest) == len(z) else problem.rows(rest)
        z[rest] = (bound.x + _on_region(bound)).clamp_(0, 1)
    return z, distance


def _without_region(problem: Problem) -> tuple[Tensor, Tensor, Tensor]:
    """Return the best points without trust region, their distance, and if they lie in it."""
    # c is the plane's distance from x; b . (z - x0) = c + b . (x - x0) is the same plane from x0
    from_clean = problem.c + dot(problem.b, problem.x - problem.x0)
    sign, room = directed(problem.x0, problem.b, from_clean)
    size = problem.b.abs()
    moves, reachable = fill(size, size, room, from_clean.abs())
    distance = torch.linalg.vector_norm(moves, dim=1)
    z = torch.addcmul(problem.x0, sign, moves).clamp_(0, 1)
    length = torch.linalg.vector_norm(z - problem.x, dim=1)
    return z, distance, reachable & (length <= problem.r)


def _on_region(problem: Problem) -> Tensor:
    """Return the best steps (B, D) where the trust region binds."""
    shortest, reachable = shortest_to_plane(problem)
    # where even the shortest step to the plane is too long, no step is on both
    feasible = reachable & (torch.linalg.vector_norm(shortest, dim=1) <= problem.r)
    if bool(feasible.all()):
        return _on_plane_and_region(problem)
    stuck = (~feasible).nonzero()[:, 0]
    steps = torch.empty_like(problem.x)
    steps[stuck] = furthest_to_plane(problem.rows(stuck))
    good = feasible.nonzero()[:, 0]
    if len(good):
        steps[good] = _on_plane_and_region(problem.rows(good))
    return steps


def _on_plane_and_region(problem: Problem) -> Tensor:
    """Return the steps that end on the plane and on the trust region's sphere."""
    b, c, r = problem.b, problem.c, problem.r
    home = problem.x0 - problem.x
    low, high = -problem.x, 1 - problem.x
    free_bb, free_bh, free_hh = dot(b, b), dot(b, home), dot(home, home)
    clipped_c = clipped_r = torch.zeros_like(c)
    for _ in range(ROUNDS):
        tau, nu = _two_unknowns(free_bb, free_bh, free_hh, c - clipped_c, r.square() - clipped_r)
        wanted = (home * column(tau)).addcmul_(b, column(nu), value=-1)
        steps = torch.clamp(wanted, low, high)
        on_plane, on_region = dot(b, steps), dot(steps, steps)
        # the plane decides whether the point is adversarial, the region only how far one trusts it
        open_ = (on_plane - c).abs() > PLANE * c.abs() + ROUNDING * torch.finfo(c.dtype).eps
        open_ |= (on_region - r.square()).abs() > REGION * r.square()
        if not bool(open_.any()):
            break
        # 1 where clamping left a pixel alone, 0 where it is clipped, in place and without `where`
        free = wanted.sub_(steps).sign_().square_().neg_().add_(1)
        free_b, free_h = b * free, free.mul_(home)
        free_bb, free_bh, free_hh = dot(free_b, b), dot(free_b, home), dot(free_h, home)
        # what the clipped pixels give already; the free ones owe the rest
        clipped_c = on_plane - dot(free_b, steps)
        clipped_r = on_region - (
            tau.square() * free_hh - 2 * tau * nu * free_bh + nu.square() * free_bb
        )
    return steps


def _two_unknowns(
    bb: Tensor, bh: Tensor, hh: Tensor, c: Tensor, radius2: Tensor
) -> tuple[Tensor, Tensor]:
    """Return tau in [0, 1] and nu of the step tau h - nu b with b . step = c, |step|^2 = radius2.

    Args:
        bb: (B,) inner products b . b over the free pixels; bh, hh likewise with h.
        c: (B,) what the free pixels owe to the plane.
        radius2: (B,) what they owe to the squared radius.
    """
    tiny = torch.finfo(bb.dtype).tiny
    bb = bb.clamp_min(tiny)
    # |step|^2 = c^2 / bb + tau^2 * across: across is the part of h that lies in the plane
    across = (hh - bh.square() / bb).clamp_min(tiny)
    left = (radius2 - c.square() / bb).clamp_min(0)
    # beyond tau = 1 the step would pass the clean image's nearest point of the plane
    tau = (left / across).sqrt_().clamp_max_(1)
    return tau, (tau * bh - c) / bb
