"""One step of the Brendel-Bethge attack for a whole batch: the problem, and what both norms share.

For each sample, with x0 the clean image, x where the attack is and b the normal of the decision
boundary, the step goes to the z that minimises |z - x0| subject to

    b . (z - x) = c    (the boundary, locally a plane)
    |z - x|_2 <= r     (the trust region)
    0 <= z <= 1.

If no z reaches the plane, it goes as far towards it as the trust region and [0, 1] allow.

Everything is done for all samples at once and in few passes over the pixels; no sorting, and no
`where` on pixels, which costs PyTorch twenty multiplications on a CPU. Only sums within a sample
enter, so a sample's step does not depend on the rest of its batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.attacks.base import total

EXACT = 2e-6
"""Relative residual at which a root is found: some times float32's rounding of a sum."""
ROUNDING = 4
"""What a sum of pixels times a unit normal may be off, in units of the float's epsilon."""
NEWTON_STEPS = 40
"""Largest number of Newton steps; about four are usual."""


@dataclass(frozen=True)
class Problem:
    """The trust-region problems of a batch, pixels flattened to D values."""

    x0: Tensor
    """(B, D) float in [0, 1], the clean images."""
    x: Tensor
    """(B, D) float in [0, 1], the current points."""
    b: Tensor
    """(B, D) float, unit normals of the boundary; all zero where there is no gradient."""
    c: Tensor
    """(B,) float, distance along b to the boundary."""
    r: Tensor
    """(B,) float, radius of the trust region."""

    def rows(self, chosen: Tensor) -> Problem:
        """Return the problems of some samples; `chosen` is (n,) int64 indices."""
        return Problem(*(value[chosen] for value in (self.x0, self.x, self.b, self.c, self.r)))


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Return the (B,) inner products of two (B, D) tensors."""
    return total(a * b)


def column(values: Tensor) -> Tensor:
    """Return (B,) values as (B, 1), to go with (B, D)."""
    return values[:, None]


def directed(origin: Tensor, b: Tensor, towards: Tensor) -> tuple[Tensor, Tensor]:
    """Return which way each pixel moves along b, and how far it can go within [0, 1].

    Args:
        origin: (B, D) in [0, 1], where the move starts.
        b: (B, D) normals.
        towards: (B,), positive to increase b . z, negative to decrease it.

    Returns:
        Directions (B, D) in {-1, 0, 1} and room (B, D) >= 0 (any number where the direction is 0).
    """
    sign = b.sign().mul_(column(towards.sign()))
    # upwards the room is 1 - origin, downwards origin: sign * (1/2 - origin) + 1/2 is both at once
    return sign, torch.rsub(origin, 0.5).mul_(sign).add_(0.5)


def fill(
    gain: Tensor, weight: Tensor | None, room: Tensor, target: Tensor
) -> tuple[Tensor, Tensor]:
    """Find the t at which sum(gain * min(t * weight, room)) reaches a target.

    The sum is concave and increasing in t and piecewise linear, so Newton's method from below
    never overshoots and ends after finitely many steps.

    Args:
        gain: (B, D) >= 0.
        weight: (B, D) >= 0, zero only where gain is; None: all ones.
        room: (B, D) >= 0.
        target: (B,) >= 0.

    Returns:
        The moves min(t * weight, room) (B, D) and which samples reach their target (B,) bool.
        A sample that cannot moves by its whole room.
    """
    slope_gain = gain if weight is None else gain * weight
    reach = total(gain * room)
    reachable = reach >= target
    # with no pixel at its end the sum is steepest, so this t is at most the root: from below
    t = target / total(slope_gain).clamp_min(torch.finfo(room.dtype).tiny)
    moves, spare = torch.empty_like(room), torch.empty_like(room)
    for _ in range(NEWTON_STEPS):
        _moves(weight, t, room, out=moves)
        missing = target - total(torch.mul(gain, moves, out=spare))
        open_ = reachable & (missing > EXACT * target)
        if not bool(open_.any()):
            break
        # 1 where a pixel has room left, 0 at its end: the derivative of min() without a `where`
        still_free = torch.sub(room, moves, out=spare).sign_()
        slope = total(still_free.mul_(slope_gain))
        gain_in_t = missing / slope
        t = torch.where(open_ & (slope > 0), t + gain_in_t, t)
        # what is still free has no gain, or one whose square underflows: the rest is out of reach
        reachable &= ~(open_ & (slope <= 0))
    # the samples that cannot reach their target
    if not bool(reachable.all()):
        # large, but finite: 0 * inf would be NaN where the weight is 0
        t = torch.where(reachable, t, torch.full_like(t, 1e30))
        _moves(weight, t, room, out=moves)
    return moves, reachable


def _moves(weight: Tensor | None, t: Tensor, room: Tensor, *, out: Tensor) -> None:
    if weight is None:
        torch.minimum(room, column(t), out=out)
    else:
        torch.mul(weight, column(t), out=out)
        torch.minimum(out, room, out=out)


def shortest_to_plane(problem: Problem) -> tuple[Tensor, Tensor]:
    """Return the shortest step (B, D) from x to the plane in [0, 1], and if there is one (B,)."""
    sign, room = directed(problem.x, problem.b, problem.c)
    size = problem.b.abs()
    moves, reachable = fill(size, size, room, problem.c.abs())
    return moves.mul_(sign), reachable


def furthest_to_plane(problem: Problem) -> Tensor:
    """Return the step (B, D) of length r that goes furthest towards the plane within [0, 1].

    The squared length sum(min(t |b|, room)^2) grows with t; each round solves for t with the
    pixels that are free at the last t, which comes from below.
    """
    sign, room = directed(problem.x, problem.b, problem.c)
    size = problem.b.abs()
    squares = size.square()
    # b has length 1, so with every pixel free the length is t: r is a start from below
    t = problem.r.clone()
    for _ in range(NEWTON_STEPS):
        moves = torch.minimum(size * column(t), room)
        length = total(moves.square())
        free = total((room - moves).sign_().mul_(squares))
        missing = problem.r.square() - length
        # looser than EXACT: a step that is a little short costs the attack little
        open_ = (missing > 1e-4 * problem.r.square()) & (free > 0)
        if not bool(open_.any()):
            break
        t = torch.where(open_, (t.square() + missing / free.clamp_min(1e-30)).sqrt(), t)
    return moves.mul_(sign)
