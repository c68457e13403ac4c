"""Which classes are near to first order: gradients at the clean image and exact projections."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.attacks.minimum.options import Norm, Options
from bench.attacks.minimum.room import IMAGES, Room
from bench.steps.step import GradientStep

STEEPER = 1.5
"""Gradients of classes that were not looked at are taken to be at most so many times as long as
the longest that was."""


@dataclass(frozen=True)
class Candidates:
    """Other classes of each sample, nearest to first order first; T of them, D pixels."""

    logits: Tensor
    """(B, classes), of the clean images."""
    classes: Tensor
    """(B, T) int64."""
    distances: Tensor
    """(B, T), to the linearised boundaries within the box; infinite where there is no way."""
    normals: Tensor
    """(B, T, D), unit gradients of target minus label."""
    offsets: Tensor
    """(B, T), what normal . delta has to be at the boundary, and a little beyond."""
    lengths: Tensor
    """(B, T), L2 norms of the gradients."""
    finite: Tensor
    """(B,) bool: no logit and no gradient was NaN or infinite."""
    gradients: Tensor
    """(B,) int64, how many were computed."""


def candidates(
    step: GradientStep, images: Tensor, labels: Tensor, aim: Tensor, norm: Norm, options: Options,
    room: Room = IMAGES,
) -> Candidates:  # fmt: skip
    """Return the classes that may be nearest.

    Gradients come in blocks of classes, largest logits first. A further block is computed only if
    some sample's next margin leaves a chance to beat `slack` times its nearest.

    Args:
        step: levelled.
        images: (B, C, H, W).
        labels: (B,) int64.
        aim: (B,), margin to reach beyond the boundary.
        norm: "l2" or "linf".
        options: the settings.
        room: where perturbations may lie.
    """
    x0, logits = images.flatten(1), step.logits(images)
    others = logits.scatter(1, labels[:, None], -torch.inf)
    count = min(logits.shape[1] - 1, options.most_classes)
    order = others.nan_to_num(-torch.inf).argsort(dim=1, descending=True, stable=True)[:, :count]
    parts: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    gradients = torch.zeros_like(labels)
    wanted = torch.ones_like(labels, dtype=torch.bool)
    for block in torch.split(order, options.classes, dim=1):
        rows = wanted.nonzero()[:, 0]
        found = _block(step, images[rows], labels[rows], block[rows], aim[rows], norm, room)
        gradients[rows] += block.shape[1]
        parts.append(_spread_out(found, rows, len(labels)))
        wanted = wanted & _may_go_on(logits, labels, order, parts, norm, options)
        if not bool(wanted.any()):
            break
    distances, normals, offsets, lengths = (torch.cat(p, 1) for p in zip(*parts, strict=True))
    finite = logits.isfinite().all(1) & lengths.isfinite().all(1)
    ways = torch.where(distances.isnan() | (lengths == 0), torch.inf, distances)
    by = ways.argsort(dim=1, stable=True)
    return Candidates(
        logits, order[:, : by.shape[1]].gather(1, by), ways.gather(1, by),
        normals.gather(1, by[:, :, None].expand(-1, -1, x0.shape[1])), offsets.gather(1, by),
        lengths.gather(1, by), finite, gradients,
    )  # fmt: skip


def _block(
    step: GradientStep, images: Tensor, labels: Tensor, targets: Tensor, aim: Tensor, norm: Norm,
    room: Room,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Return distances (n, T), unit gradients (n, T, D), offsets and lengths (n, T)."""
    logits, gradients = step.jacobian(images, labels, targets)
    count, dims = targets.shape[1], images[0].numel()
    normals = gradients.view(len(images), count, dims)
    lengths = torch.linalg.vector_norm(normals, dim=2)
    tiny = torch.finfo(normals.dtype).tiny
    normals /= lengths.clamp_min(tiny)[:, :, None]
    missing = logits.gather(1, labels[:, None]) - logits.gather(1, targets) + aim[:, None]
    offsets = missing / lengths.clamp_min(tiny)
    distances = [
        room.plane(images.flatten(1), normals[:, t], offsets[:, t].clamp_min(0), norm)[1]
        for t in range(count)
    ]
    return torch.stack(distances, 1), normals, offsets, lengths


def _spread_out(
    found: tuple[Tensor, Tensor, Tensor, Tensor], rows: Tensor, size: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the results of some rows for all; the others have no way there."""
    if len(rows) == size:
        return found
    distances, normals, offsets, lengths = (
        v.new_zeros(size, *v.shape[1:]).index_copy_(0, rows, v) for v in found
    )
    distances[torch.bincount(rows, minlength=size) == 0] = torch.inf
    return distances, normals, offsets, lengths


def _may_go_on(
    logits: Tensor,
    labels: Tensor,
    order: Tensor,
    parts: list[tuple[Tensor, Tensor, Tensor, Tensor]],
    norm: Norm,
    options: Options,
) -> Tensor:
    """Return (B,) bool: could the next class's boundary be near enough to be tried?"""
    seen = sum(part[0].shape[1] for part in parts)
    if seen >= order.shape[1]:
        return torch.zeros_like(labels, dtype=torch.bool)
    nearest = torch.cat([part[0] for part in parts], 1).amin(1)
    dual = [part[3] * _dual(part[1], norm) for part in parts]
    steepest = STEEPER * torch.cat(dual, 1).amax(1)
    following = order[:, seen : seen + 1]
    margin = (logits.gather(1, labels[:, None]) - logits.gather(1, following))[:, 0]
    return margin < options.slack * nearest * steepest


def _dual(normals: Tensor, norm: Norm) -> Tensor:
    """Return the dual norms (n, T) of unit normals (n, T, D)."""
    dual: Tensor = torch.linalg.vector_norm(normals, 2 if norm == "l2" else 1, dim=2)
    return dual
