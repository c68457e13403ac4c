"""The trust-region problem of `bench.attacks.brendel_bethge.trust_region` for the Linf distance.

If the trust region does not bind, every pixel moves as far from x0 as epsilon allows, and the only
unknown is epsilon. If it binds, epsilon is the smallest one at which the shortest step to the
plane, clip(nu b) within [0, 1] and epsilon of x0, is not longer than r: two unknowns. Among equally
good points the one nearest to x is taken, as foolbox does.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.attacks.base import total
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
"""Largest number of evaluations where the trust region binds; three or four are usual."""
PLANE = 1e-4
"""Distance from the plane at which a step is on it, in units of |c| + r."""
REGION = (0.9, 1.02)
"""A step of this length, in units of r, uses the trust region up."""
IDLE = 0.05
"""Pixels whose |b| is below this share of the mean may lag behind. Costs about 1e-4 of epsilon; in
return a step is continuous in b, and rounding is not amplified to other patterns of signs."""
NARROW = 3e-5
"""Relative width at which the bracket of epsilon is closed (foolbox: 1e-6, absolute)."""


def solve_linf(problem: Problem) -> tuple[Tensor, Tensor]:
    """Return the next points z (B, D) in [0, 1], and |z - x0| (B,) if no trust region bound it."""
    z, sign, epsilon, length, reachable = _without_region(problem)
    rest = (~(reachable & (length <= problem.r))).nonzero()[:, 0]
    if len(rest) == len(z):
        return _on_region(problem, sign, epsilon, length), epsilon
    if len(rest):
        z[rest] = _on_region(problem.rows(rest), sign[rest], epsilon[rest], length[rest])
    return z, epsilon


def _without_region(problem: Problem) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the best points (B, D) if there were no trust region.

    Besides them (B,) each: the side of the plane that they come from, their epsilon, the length of
    the step, and whether they are on the plane.
    """
    b, offset = problem.b, problem.x - problem.x0
    from_clean = problem.c + dot(b, offset)
    side = from_clean.sign()
    _, room = directed(problem.x0, b, from_clean)
    size = b.abs()
    moves, reachable = fill(size, None, room, from_clean.abs())
    epsilon = moves.amax(1)
    # pixels that hardly matter to the plane stay near x: their sign would be a matter of rounding
    idle = (IDLE / size.shape[1] * total(size)).clamp_min(torch.finfo(b.dtype).tiny)
    pace = side * 2 * epsilon / idle
    wanted = problem.x.addcmul(b, column(pace)).clamp_(0, 1).sub_(problem.x0)
    moved = torch.clamp(wanted, -column(epsilon), column(epsilon))
    # the idle ones give less to the plane than epsilon would: one Newton step makes it up
    lost = (from_clean - dot(b, moved)) * side
    gain = total(room.sub_(moves).sign_().mul_(size))  # by epsilon, of the pixels at its end
    epsilon = epsilon + lost / gain.clamp_min(torch.finfo(b.dtype).tiny) * (gain > 0)
    moved = torch.clamp(wanted, -column(epsilon), column(epsilon))
    length = torch.linalg.vector_norm(moved - offset, dim=1)
    return moved.add_(problem.x0).clamp_(0, 1), side, epsilon, length, reachable


def _on_region(problem: Problem, sign: Tensor, lowest: Tensor, longest: Tensor) -> Tensor:
    """Return the best points (B, D) where the trust region binds.

    Args:
        problem: the problems.
        sign: (B,) 1 or -1, the direction along b in which x0 moves to the plane.
        lowest: (B,) the epsilon without trust region.
        longest: (B,) the length of the step to it.
    """
    shortest, reachable = shortest_to_plane(problem)
    length = torch.linalg.vector_norm(shortest, dim=1)
    feasible = reachable & (length <= problem.r)
    z = torch.add(problem.x, shortest, out=shortest)
    stuck = (~feasible).nonzero()[:, 0]
    if len(stuck):
        part = problem.rows(stuck)
        z[stuck] = part.x + furthest_to_plane(part)
    z.clamp_(0, 1)  # x plus its whole room may round to beyond 1
    # with this epsilon the shortest step of all is allowed, so it is the other end of the bracket
    highest = (z - problem.x0).abs_().amax(1)
    wide = (feasible & (highest > lowest * (1 + NARROW))).nonzero()[:, 0]
    if len(wide):
        ends = (v[wide] for v in (sign, lowest, longest, highest, length))
        search = _Search(problem.rows(wide), *ends)
        for _ in range(ROUNDS):
            rows, found = search.advance()
            if len(rows):
                z[wide[rows]] = found
            if not search.narrow():
                break
    return z


class _Search:
    """Finds epsilon and t = |nu| for a batch of feasible problems; samples that are done leave.

    Each round takes the pixels as free or clipped as they are and solves region and plane for both,
    within a bracket of epsilon: a step of length r that falls short of the plane says that epsilon
    is too small, one that reaches it and could be shorter says too large. t may turn negative,
    where the pixels that epsilon pushes home would overshoot the plane.
    """

    def __init__(
        self,
        problem: Problem,
        sign: Tensor,
        low: Tensor,
        low_length: Tensor,
        high: Tensor,
        high_length: Tensor,
    ) -> None:
        self.problem = problem
        self.sign = sign
        self.offset = problem.x - problem.x0
        self.squares = problem.b.square()
        self.low, self.high = low, high
        share = (low_length - problem.r) / (low_length - high_length)
        # regula falsi for the first guess, kept off the ends, which are known already
        self.epsilon = torch.lerp(low, high, share.clamp(0.01, 0.99))
        self.t = problem.r.clone()
        self.index = torch.arange(len(low), device=low.device)
        self.done = torch.zeros_like(low, dtype=torch.bool)

    def advance(self) -> tuple[Tensor, Tensor]:
        """Evaluate once and improve both unknowns.

        Returns:
            Row numbers (n,) of samples with a better feasible point, and the points (n, D).
        """
        p, limit = self.problem, column(self.epsilon)
        moved = p.x.addcmul(p.b, column(self.sign * self.t))
        in_box = moved.clamp(0, 1)
        beyond_box = moved.sub_(in_box)
        from_clean = in_box.sub_(p.x0)
        in_ball = torch.clamp(from_clean, -limit, limit)
        beyond_ball = from_clean.sub_(in_ball)
        steps = in_ball - self.offset
        length = torch.linalg.vector_norm(steps, dim=1)
        owed = self.sign * (p.c - dot(p.b, steps))
        on_plane = owed.abs() <= PLANE * (p.c.abs() + p.r) + ROUNDING * torch.finfo(owed.dtype).eps
        fits = on_plane & (length <= REGION[1] * p.r)
        # lengthening the step (t away from 0) brings it to the plane where owed * t > 0
        short = (length <= p.r) & (owed * self.t <= 0) | fits
        self.high = torch.where(short, self.epsilon, self.high)
        long = (length >= p.r) & (owed * self.t >= 0) & ~fits
        self.low = torch.where(long, self.epsilon, self.low)
        self.done |= fits & (length >= REGION[0] * p.r)
        self.done |= self.high <= self.low * (1 + NARROW)
        better = fits.nonzero()[:, 0]
        found = (p.x0[better] + in_ball[better]).clamp_(0, 1)
        if not bool(self.done.all()):
            # measured from inside the box: a pixel that both would clip moves with epsilon
            ends = beyond_ball.sign()
            free = beyond_box.add_(beyond_ball).sign_().square_().neg_().add_(1)
            free_bb = total(free.mul_(self.squares))
            ends_b, ends_step = self.sign * dot(ends, p.b), dot(ends, steps)
            self._improve(length, owed, free_bb, ends_b, ends_step, total(ends.square_()))
        return self.index[better], found

    def _improve(
        self,
        length: Tensor,
        owed: Tensor,
        free_bb: Tensor,
        ends_b: Tensor,
        ends_step: Tensor,
        ends: Tensor,
    ) -> None:
        """Solve plane and region for both unknowns, with the clipped pixels as they are.

        With d the change of epsilon, the pixels at its end move by d outwards, so
        t' = t + (owed - d ends_b) / free_bb on the plane, and on the region
        t'^2 free_bb + fixed + 2 d ends_step + d^2 ends = r^2: a quadratic equation for d.
        """
        r2, bb = self.problem.r.square(), free_bb.clamp_min(torch.finfo(owed.dtype).tiny)
        fixed = length.square() - self.t.square() * free_bb
        t_here = self.t + owed / bb
        a = ends_b.square() / bb + ends
        h = ends_step - t_here * ends_b
        k = t_here.square() * free_bb + fixed - r2
        # the smaller root, for epsilon is to be as small as it may
        change = -(h + (h.square() - a * k).clamp_min(0).sqrt()) / a
        epsilon = self.epsilon + change
        inside = (epsilon > self.low) & (epsilon < self.high) & (free_bb > 0)
        # else the clipped pixels are not yet the right ones: halve the bracket, keep the region
        middle = (self.low + self.high) / 2
        d = middle - self.epsilon
        left = (r2 - fixed - 2 * d * ends_step - d.square() * ends).clamp_min(0)
        # with hardly a free pixel bb is next to 0 and t would leave all bounds
        t = torch.minimum((left / bb).sqrt(), torch.maximum(self.t.abs() * 1e2, self.problem.r))
        self.epsilon = torch.where(inside, epsilon, middle)
        self.t = torch.where(inside, t_here - change * ends_b / bb, t)

    def narrow(self) -> bool:
        """Drop the samples that are done; return False if none is left."""
        keep = (~self.done).nonzero()[:, 0]
        if len(keep) == 0:
            return False
        # gathering rows copies every pixel, so wait until it saves a quarter of the work
        if 4 * len(keep) <= 3 * len(self.done):
            self.problem = self.problem.rows(keep)
            for name in (
                "sign", "offset", "squares", "low", "high", "epsilon", "t", "index", "done",
            ):  # fmt: skip
                setattr(self, name, getattr(self, name)[keep])
        return True
