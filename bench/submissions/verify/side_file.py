"""The torch side of checking pictures: example images in full, mean maps by a sample."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.grid import MAP_SIDE, map_rings
from bench.metrics import METRICS, Measured
from bench.run.open import Opened
from bench.spectrum import mean_map, normalised_power, power_spectrum, spectral_metrics
from bench.submissions.check.problems import short
from bench.submissions.verify.judge import MATERIAL, Values, distances
from bench.submissions.verify.pictures import (
    Array,
    class_problem,
    delta_problem,
    image_problem,
    map_problem,
)

Deltas = Mapping[tuple[str, int], Sequence[Array]]


class Pictures:
    """A side file's example images and mean maps, and what is wrong with them.

    Attributes:
        examples: (attack, sample id) of each example image that has a row.
        maps: attack -> (mean map, number of samples).
    """

    def __init__(
        self,
        opened: Opened,
        side: Sequence[Mapping[str, Any]],
        stated: Mapping[tuple[str, int], Values],
    ) -> None:
        self.opened, self.stated = opened, stated
        self.rows = [r for r in side if r["kind"] == "example"]
        self.examples = {(r["attack"], r["sample_id"]) for r in self.rows} & stated.keys()
        self.maps = {r["attack"]: (r["values"], r["n"]) for r in side if r["kind"] == "spectrum"}

    def problems(self, deltas: Deltas) -> Iterator[str]:
        """Yield what is wrong, a line each.

        Args:
            deltas: (attack, sample id) -> its perturbation in every look, the examples' included.
        """
        for row in self.rows:
            key = (row["attack"], row["sample_id"])
            where = f"example image {key[1]} of {key[0]}"
            if key not in self.stated:
                yield f"{where}: it has no row"
                continue
            for text in self._example(row, self.stated[key], deltas.get(key, [])):
                yield f"{where}: {text}"
        for attack, (values, n) in self.maps.items():
            wrong = self._map(attack, values, n, deltas)
            if wrong is not None:
                yield f"mean map of {attack}: {wrong}"

    def _example(
        self, row: Mapping[str, Any], said: Values, deltas: Sequence[Array]
    ) -> Iterator[str]:
        job = self.opened.job
        (image,) = job.load([row["sample_id"]]).cpu().numpy()
        wrong = image_problem(row["values"], image)
        if wrong is not None or row["delta"].shape != image.shape:
            yield wrong or f"its perturbation is {row['delta'].shape}, found {image.shape}"
            return
        clean, delta = (torch.from_numpy(row[name])[None] for name in ("values", "delta"))
        clean, delta = clean.to(job.device), delta.to(job.device)
        logits = job.logits((clean + delta).clamp(0, 1))[0].cpu().numpy()
        other = class_problem(logits, int(said["label"]), int(said["adv_pred"]))
        if other is not None:
            yield other
        drawn = perturbation_values(clean, delta)
        for name, distance in distances(said, drawn).items():
            if distance > MATERIAL:
                found = short(drawn[name], 40)
                yield f"its {name} is {found}, its row says {short(said[name], 40)}"
        other = delta_problem(row["delta"], deltas)
        if other is not None:
            yield other

    def _map(self, attack: str, values: Array, n: int, deltas: Deltas) -> str | None:
        _, height, width = self.opened.loaded.input_shape
        if values.shape != (min(height, MAP_SIDE), min(width, MAP_SIDE)):
            return f"it is {values.shape}, of an input of {height} x {width}"
        kept = [
            looks[0]
            for (name, sample), looks in deltas.items()
            if name == attack and self.stated[name, sample]["success"] == 1
        ]
        if not kept:
            return None
        power = power_spectrum(torch.from_numpy(np.stack(kept)).double())
        found = mean_map(normalised_power(power), MAP_SIDE).numpy()
        found = found[np.isfinite(found).all(axis=(1, 2))]
        rings = map_rings(height, width).reshape(values.shape)
        return map_problem(values.astype(np.float64), n, list(found), rings)


def perturbation_values(clean: Tensor, delta: Tensor) -> dict[str, Any]:
    """Return the columns that follow from one image and its perturbation, (1, C, H, W) each."""
    wide = delta.double()
    nothing = torch.full((1,), torch.nan, dtype=torch.float64)
    measured = Measured(
        clean=clean,
        adversarial=clean + delta,
        delta=wide,
        spectrum=spectral_metrics(wide),
        image_rfc=nothing,
        grad_rfc=nothing,
    )
    values = {m.name: m.values(measured)[0].cpu().numpy() for m in METRICS}
    del values["image_rfc"], values["grad_rfc"], values["clip_share"]
    return values
