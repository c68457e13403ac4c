"""Spectra of gradients, perturbations and controls of some samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from bench.grid import BANDS, band_numbers
from bench.measure.job import Job
from bench.probes.deltas import attacked, control
from bench.probes.gradient.probe import FIELDS, LOSS, MARGIN, PROFILES, Gradient
from bench.probes.kinds import ATTACK, PERTURBATIONS
from bench.probes.subjects import Subjects
from bench.spectrum import frequency_grid, normalised_power, power_spectrum
from bench.steps.step import GradientStep, cross_entropy_cotangent, margin_cotangent


def measure(
    probe: Gradient, job: Job, part: str, ids: Sequence[int], is_control: bool
) -> Mapping[str, Sequence[Any]]:
    """Return the columns of some samples; arguments as of `Probe.measure`."""
    subjects = Subjects.of(job, ids, is_control)
    step = job.step or GradientStep(job.model)

    def work(x: Tensor, y: Tensor, some: tuple[int, ...]) -> dict[str, Any]:
        delta, ok = attacked(job, x, y, some)
        fields = {
            LOSS: _scaled(-step(x, y, cross_entropy_cotangent)[1]),
            MARGIN: _scaled(step(x, y, margin_cotangent)[1]),
        }
        for kind in PERTURBATIONS:
            fields[kind] = control(kind, x, delta, some, job.seed, "gradient").double()
        spectra = {name: spectrum(fields[name]) for name in FIELDS}
        found: dict[str, Tensor] = {f"{name}_rfc": rfc(spectra[name], x) for name in FIELDS}
        found |= {f"{name}_bands": bands(spectra[name], x) for name in PROFILES}
        for name in (LOSS, MARGIN):
            found[f"overlap_{name}"] = overlap(spectra[ATTACK], spectra[name])
        found["cos_loss"] = cosine(fields[ATTACK], -fields[LOSS])
        found["cos_margin"] = cosine(fields[ATTACK], -fields[MARGIN])
        found["overlap_white"] = overlap(spectra[ATTACK], spectra["white"])
        found["norm"] = torch.linalg.vector_norm(fields[ATTACK].flatten(1), dim=1)
        gone = ("attack", "overlap", "cos", "norm", "white", "pink", "sign")
        return {
            name: [v if o or not name.startswith(gone) else None
                   for v, o in zip(column.tolist(), ok.tolist(), strict=True)]
            for name, column in found.items()
        }  # fmt: skip

    return subjects.measure(job, list(probe.columns), work)


def _scaled(gradient: Tensor) -> Tensor:
    """Return gradients with a largest value of 1, float64: squares of tiny ones would vanish."""
    size = gradient.abs().flatten(1).amax(1).double()
    safe = torch.where(size > 0, size, 1.0)[:, None, None, None]
    return gradient.double() / safe


def spectrum(field: Tensor) -> Tensor:
    """Return p (B, H*W): power without DC, summing to 1; NaN of nothing."""
    return normalised_power(power_spectrum(field)).flatten(1)


def rfc(p: Tensor, like: Tensor) -> Tensor:
    """Return the radial frequency centroid (B,) of p (B, H*W) of images `like`."""
    where = frequency_grid(like.shape[2], like.shape[3], str(like.device))
    return p @ where.radius


def bands(p: Tensor, like: Tensor) -> Tensor:
    """Return the share of each band, (B, 8)."""
    numbers = torch.from_numpy(band_numbers(like.shape[2], like.shape[3])).to(p.device)
    sums = torch.zeros(len(p), BANDS + 1, dtype=p.dtype, device=p.device)
    return sums.index_add_(1, numbers, p)[:, 1:]


def overlap(p: Tensor, q: Tensor) -> Tensor:
    """Return sum min(p, q) of two spectra (B, H*W), in [0, 1]."""
    result: Tensor = torch.minimum(p, q).sum(dim=1)
    return result


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Return the cosines (B,) between fields (B, C, H, W); NaN where one is 0."""
    product = (a * b).flatten(1).sum(1)
    size = a.flatten(1).norm(dim=1) * b.flatten(1).norm(dim=1)
    return torch.where(size > 0, product / size, torch.nan)
