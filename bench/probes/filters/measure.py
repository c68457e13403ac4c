"""Filtered images and perturbations of some samples, with exactly complementary masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from bench.grid import frequency_grid
from bench.measure.job import Job
from bench.probes.controls import of_norm
from bench.probes.deltas import attacked, control
from bench.probes.filters.probe import CUTOFFS, EDGES, IMAGES, Filters
from bench.probes.rays import along
from bench.probes.subjects import Subjects
from bench.spectrum import passed
from bench.steps.step import GradientStep


def low_mask(height: int, width: int, cutoff: float) -> Tensor:
    """Return the mask (H, W) of r <= cutoff, float64; DC is in it."""
    radius = torch.from_numpy(frequency_grid(height, width).radius.copy())
    return (radius <= cutoff).double().view(height, width)


def third_masks(height: int, width: int) -> tuple[Tensor, ...]:
    """Return the masks (H, W) of low, middle and high frequencies, which add up to 1."""
    low, middle = (low_mask(height, width, edge) for edge in EDGES)
    return low, middle - low, 1 - middle


def split(images: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return what a mask lets through, and the rest: both add up to the images."""
    wide = images.double()
    low = passed(wide, mask)
    return low, wide - low


def measure(
    probe: Filters, job: Job, part: str, ids: Sequence[int], is_control: bool
) -> Mapping[str, Sequence[Any]]:
    """Return the columns of one part; arguments as of `Probe.measure`."""
    subjects = Subjects.of(job, ids, is_control, everyone=part == IMAGES)
    step = job.step or GradientStep(job.model)
    size = (subjects.images.shape[2], subjects.images.shape[3])

    def images(x: Tensor, y: Tensor, some: tuple[int, ...]) -> dict[str, Any]:
        def right(seen: Tensor) -> Tensor:
            return step.logits(seen.to(x.dtype)).argmax(1) == y

        mean = x.double().mean(dim=(2, 3), keepdim=True)
        pairs = [split(x, low_mask(*size, cutoff)) for cutoff in CUTOFFS]
        thirds = [split(x, mask) for mask in third_masks(*size)]
        return {
            "low": torch.stack([right(low) for low, _ in pairs], 1),
            "high": torch.stack([right(high) for _, high in pairs], 1),
            "high_mean": torch.stack([right(high + mean) for _, high in pairs], 1),
            "only": torch.stack([right(inside) for inside, _ in thirds], 1),
            "without": torch.stack([right(rest) for _, rest in thirds], 1),
            "share": _shares(x, size),
            "multiple": torch.full((len(x), 3), torch.nan),
            "whole": right(x),
        }

    def perturbed(x: Tensor, y: Tensor, some: tuple[int, ...]) -> dict[str, Any]:
        minimal, ok = attacked(job, x, y, some)
        delta = control(part, x, minimal, some, job.seed, "filters") * probe.factor

        def predict(seen: Tensor) -> Tensor:
            return step.logits(seen).argmax(1)

        def fooled(moved: Tensor) -> Tensor:
            return predict((x.double() + moved).to(x.dtype)) != y

        def multiples(x: Tensor, y: Tensor, minimal: Tensor) -> Tensor:
            ways = []
            for mask in third_masks(*size):
                part = passed(minimal, mask)
                norm = torch.linalg.vector_norm(part.flatten(1), dim=1)
                far = along(predict, x, y, of_norm(part, 1.0), norm / 2)
                ways.append(far / norm)
            return torch.stack(ways, 1)

        pairs = [split(delta, low_mask(*size, cutoff)) for cutoff in CUTOFFS]
        thirds = [split(delta, mask) for mask in third_masks(*size)]
        found = {
            "low": torch.stack([fooled(low) for low, _ in pairs], 1),
            "high": torch.stack([fooled(high) for _, high in pairs], 1),
            "only": torch.stack([fooled(inside) for inside, _ in thirds], 1),
            "without": torch.stack([fooled(rest) for _, rest in thirds], 1),
            "share": _shares(delta, size),
            "multiple": multiples(x, y, delta / probe.factor),
            "whole": fooled(delta.double()),
            "norm": torch.linalg.vector_norm(delta.double().flatten(1), dim=1),
        }
        # a sample that the attack did not fool has no perturbation to filter
        return {k: [v if o else None for v, o in zip(c.tolist(), ok.tolist(), strict=True)]
                for k, c in found.items()}  # fmt: skip

    columns = subjects.measure(job, list(probe.columns), images if part == IMAGES else perturbed)
    if part != IMAGES:
        _name_unfooled(columns)
    return columns


def _shares(delta: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the share of energy (B, 3) in each third, DC included; NaN of nothing."""
    wide = delta.double()
    energy = [passed(wide, mask).square().flatten(1).sum(1) for mask in third_masks(*size)]
    return torch.stack(energy, 1) / wide.square().flatten(1).sum(1, keepdim=True)


def _name_unfooled(columns: dict[str, list[Any]]) -> None:
    for place, whole in enumerate(columns["whole"]):
        if columns["status"][place] == "ok" and whole is None:
            columns["status"][place] = "not_fooled"
