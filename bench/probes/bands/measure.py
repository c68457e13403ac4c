"""One band on some samples: the search within it, through the box, inside the box; directions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from bench.attacks.descent import descend
from bench.attacks.minimum.minimise import minimise
from bench.attacks.minimum.options import Options
from bench.attacks.minimum.room import FREE, Room
from bench.attacks.minimum.stages import Found
from bench.attacks.pgd import PGD
from bench.grid import band_numbers
from bench.measure.job import Job
from bench.probes.bands.box import BandBox
from bench.probes.bands.probe import Bands, number_of
from bench.probes.bands.steps import BandStep, leak
from bench.probes.controls import NOISES, noise, of_norm
from bench.probes.rays import along
from bench.probes.subjects import Subjects
from bench.spectrum import passed
from bench.steps.step import GradientStep, margin_cotangent


def band_mask(height: int, width: int, band: int | None, like: Tensor) -> Tensor | None:
    """Return the mask (H, W) of a band 0 (DC) .. 8, type and device of a tensor; None: of all."""
    if band is None:
        return None
    chosen = band_numbers(height, width) == band
    return torch.from_numpy(chosen).view(height, width).to(like)


def measure(
    probe: Bands, job: Job, part: str, ids: Sequence[int], control: bool
) -> Mapping[str, Sequence[Any]]:
    """Return the columns of one band; arguments as of `Probe.measure`."""
    subjects = Subjects.of(job, ids, control)
    height, width = subjects.images.shape[2:]
    mask = band_mask(height, width, number_of(part), subjects.images)
    band = _Band(probe, job, part, mask)
    return subjects.measure(job, list(probe.columns), band.columns)


class _Band:
    """One band of one model."""

    def __init__(self, probe: Bands, job: Job, part: str, mask: Tensor | None) -> None:
        self.probe, self.job, self.part, self.mask = probe, job, part, mask
        self.step = job.step or GradientStep(job.model)

    def columns(self, x: Tensor, y: Tensor, ids: tuple[int, ...]) -> dict[str, Any]:
        """Return all columns of a batch."""
        found = self.search(x, y)
        delta = found.adversarial - x
        distance, fooled = self._size(delta, found.adversarial, y)
        clipped = self.search(x, y, clip=True)
        moved = clipped.adversarial - x
        real = clipped.adversarial.clamp(0, 1) - x
        clip_distance, clip_fooled = self._size(moved, x + real, y)
        return {
            "dims": [self._dims(x)] * len(x),
            "image_share": 1 - leak(x, self.mask),
            "gradient_share": self._gradient_share(x, y),
            "distance": distance,
            "fooled": fooled,
            "stationary": [status == "converged" for status in found.status],
            "leak": leak(delta, self.mask),
            "gradients": found.gradients_per_image,
            **self._rays(x, y, ids, distance),
            "pgd": self._pgd(x, y),
            "clip_distance": clip_distance,
            "clip_l2": self._size(real, x + real, y)[0],
            "clip_leak": leak(real, self.mask),
            "clip_fooled": clip_fooled,
            "clip_stationary": [status == "converged" for status in clipped.status],
            **self._inside(x, y),
        }

    def search(
        self, x: Tensor, y: Tensor, clip: bool = False, room: Room = FREE, steps: int = 40
    ) -> Found:
        """Run min-l2's search within the band; no walk, which would leave it."""
        step = BandStep(self.step, self.mask, clip)
        options = Options(walk_steps=0, steps=steps, second_starts=int(room.free))
        return minimise(step, x, y, "l2", options=options, room=room)

    def _dims(self, x: Tensor) -> int:
        each = x[0, 0].numel() if self.mask is None else int(self.mask.sum())
        return each * x.shape[1]

    def _size(self, delta: Tensor, images: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return norms (b,) float64, infinite where the model is not fooled, and if it is."""
        fooled = self._predict(images) != y
        size = torch.linalg.vector_norm(delta.double().flatten(1), dim=1)
        return torch.where(fooled, size, torch.inf), fooled

    def _predict(self, images: Tensor) -> Tensor:
        logits = self.step.logits(images)
        # a direction that leads to NaN leads nowhere: the class stays unknown
        return torch.where(logits.isfinite().all(1), logits.argmax(1), -1)

    def _gradient_share(self, x: Tensor, y: Tensor) -> Tensor:
        _, gradient = self.step(x, y, margin_cotangent)
        return 1 - leak(gradient, self.mask)

    def _projected(self, directions: Tensor) -> Tensor:
        inside = directions if self.mask is None else passed(directions, self.mask)
        return of_norm(inside, 1.0)

    def _rays(self, x: Tensor, y: Tensor, ids: tuple[int, ...], start: Tensor) -> dict[str, Any]:
        begin = start.to(x.dtype)

        def way(directions: Tensor) -> Tensor:
            return along(self._predict, x, y, self._projected(directions), begin)

        def drawn(kind: str, number: int) -> Tensor:
            purpose = f"bands {self.part} {number}"
            return way(noise(kind, x, ids, self.job.seed, purpose))

        white = [drawn("white", number) for number in range(self.probe.rays)]
        return {
            "white": torch.stack(white, 1),
            **{kind: drawn(kind, 0) for kind in NOISES if kind != "white"},
            "image": torch.minimum(way(x), way(-x)),
        }

    def _pgd(self, x: Tensor, y: Tensor) -> Tensor:
        step, found = BandStep(self.step, self.mask), []
        for budget in self.probe.budgets:
            settings = PGD(
                norm="l2", steps=self.probe.pgd_steps, epsilon=budget, step_size=0.1, version=1
            )
            images = descend(settings, step, x, y, boxed=False)
            found.append(self._predict(images) != y)
        return torch.stack(found, 1)

    def _inside(self, x: Tensor, y: Tensor) -> dict[str, Any]:
        mask = torch.ones_like(x[0, 0]) if self.mask is None else self.mask
        room = BandBox(mask=mask, channels=x.shape[1])
        found = self.search(x, y, room=room, steps=self.probe.inside_steps)
        delta = found.adversarial - x
        distance, fooled = self._size(delta, found.adversarial, y)
        return {
            "inside_distance": distance,
            "inside_leak": leak(delta, self.mask),
            "inside_fooled": fooled,
        }
