"""The samples of a unit, and which class each is attacked from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from bench.measure.job import Job
from bench.measure.memory import in_parts


@dataclass
class Subjects:
    """Samples, and the columns that are measured of them.

    Attributes:
        ids: of the samples.
        images: (B, C, H, W) in [0, 1].
        reference: (B,) class that the model is attacked from: the label, of an untrained twin its
            own prediction.
        chosen: (n,) int64, those that are measured: the model gives them their reference.
        columns: name -> values of all samples, None where nothing was measured.
    """

    ids: tuple[int, ...]
    images: Tensor
    reference: Tensor
    chosen: Tensor
    columns: dict[str, list[Any]] = field(default_factory=dict)

    @staticmethod
    def of(job: Job, ids: Sequence[int], control: bool, everyone: bool = False) -> Subjects:
        """Return the samples `ids` of a job.

        Args:
            job: model and images.
            ids: of the samples.
            control: the model is untrained.
            everyone: also measure samples that the model does not give their reference.
        """
        images, labels = job.load(ids), job.labels(ids)
        parts = in_parts(
            lambda some: job.logits(images[some]).argmax(1), torch.arange(len(ids)), job.batch_size
        )
        predicted = torch.cat(parts)
        reference = predicted if control else labels
        right = torch.ones_like(reference, dtype=torch.bool)
        if not everyone:
            right = predicted == reference
        return Subjects(
            tuple(int(i) for i in ids),
            images,
            reference,
            right.nonzero()[:, 0],
            {
                "label": labels.tolist(),
                "reference": [
                    r if ok else None
                    for r, ok in zip(reference.tolist(), right.tolist(), strict=True)
                ],
                "status": ["ok" if ok else "clean_wrong" for ok in right.tolist()],
            },
        )

    def parts(self, size: int) -> Iterator[Tensor]:
        """Give the chosen samples, so many at a time."""
        if len(self.chosen):
            yield from torch.split(self.chosen, size)

    def measure(
        self,
        job: Job,
        names: Sequence[str],
        work: Callable[[Tensor, Tensor, tuple[int, ...]], dict[str, Any]],
    ) -> dict[str, list[Any]]:
        """Fill the columns `names` by measuring the chosen samples in batches that fit.

        Args:
            job: whose batch size is used.
            names: columns; those that `work` leaves out stay empty.
            work: (images, reference, ids) of a batch -> column -> (b, ...) tensor or b values.
        """
        for name in names:
            self.columns[name] = [None] * len(self.ids)

        def some(which: Tensor) -> dict[str, Any]:
            ids = tuple(self.ids[i] for i in which.tolist())
            found = work(self.images[which], self.reference[which], ids)
            return {"": which.tolist(), **{k: _listed(v) for k, v in found.items()}}

        smaller = None if job.step is None else job.step.at_most
        for part in in_parts(some, self.chosen, job.batch_size, smaller):
            places = part.pop("")
            for name, values in part.items():
                for place, value in zip(places, values, strict=True):
                    self.columns[name][place] = value
        return self.columns


def _listed(values: Any) -> list[Any]:
    return values.tolist() if isinstance(values, Tensor) else list(values)
