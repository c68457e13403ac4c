"""The nearest point of one plane within the box: exact, in either norm."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.attacks.brendel_bethge.trust_region import directed, fill


def to_plane(x0: Tensor, normal: Tensor, offset: Tensor, norm: str) -> tuple[Tensor, Tensor]:
    """Return the smallest delta with normal . delta = offset, x0 + delta in [0, 1], and its norm.

    Args:
        x0: (P, D) in [0, 1].
        normal: (P, D) unit normals, all zero where there is no gradient.
        offset: (P,) >= 0.
        norm: "l2" or "linf".

    Returns:
        delta (P, D) and distances (P,): infinite where the box doesn't reach the plane; delta is
        then as far as the box goes.
    """
    sign, room = directed(x0, normal, torch.ones_like(offset))
    size = normal.abs()
    moves, reachable = fill(size, size if norm == "l2" else None, room, offset)
    moves = moves * sign
    distance = torch.linalg.vector_norm(moves, 2 if norm == "l2" else torch.inf, dim=1)
    # a pixel that the plane does not mind stays where it is, whatever fill() gave it
    return moves, torch.where(reachable, distance, torch.inf)


def to_free_plane(x0: Tensor, normal: Tensor, offset: Tensor, norm: str) -> tuple[Tensor, Tensor]:
    """Return what :func:`to_plane` does where images have no bounds."""
    size = torch.linalg.vector_norm(normal, 2 if norm == "l2" else 1, dim=1)
    step = offset / size.clamp_min(torch.finfo(size.dtype).tiny)
    along = normal / size.clamp_min(torch.finfo(size.dtype).tiny)[:, None]
    moves = step[:, None] * (along if norm == "l2" else normal.sign())
    return moves, torch.where((size > 0) | (offset == 0), step, torch.inf)
