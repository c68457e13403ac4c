"""One probe of one model: measure, describe, write table and figures."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bench.entries import registry
from bench.entries.dataset import DatasetEntry
from bench.entries.model import ModelEntry
from bench.errors import BenchError
from bench.grid import white_noise
from bench.probes import noise, paths, sinusoids
from bench.probes.transfer import Response, measure
from bench.results import probes as store
from bench.results.filesystem import FileSystem
from bench.results.provenance import commit, now, versions
from bench.results.transform import transform_text
from bench.run.choose import model_entry
from bench.run.request import Request


@dataclass(frozen=True)
class TransferPlan:
    """A request for the transfer function of one model that was found to be possible.

    Attributes:
        entry: the model's.
        dataset: its data set's.
        paths: the way of images into the model.
        input_size: (W, H) of the input images.
        seed: of phases and noise.
    """

    entry: ModelEntry
    dataset: DatasetEntry
    paths: paths.Paths
    input_size: tuple[int, int]
    seed: int

    @property
    def transform(self) -> str:
        """The transform in words."""
        return transform_text(self.paths.settings, self.dataset.transform) or "unknown"


@dataclass(frozen=True)
class Transfer:
    """The measured transfer function of one model's evaluation transform."""

    plan: TransferPlan
    response: Response
    metadata: Mapping[str, Any]


def plan_transfer(
    model: str,
    dataset: str | None = None,
    input_size: tuple[int, int] | None = None,
    seed: int = 0,
) -> TransferPlan:
    """Find out whether a model's transform can be probed; nothing is measured.

    Args:
        model: entry name, timm `arch.tag`, or the path of an entry's TOML file.
        dataset: must be the entry's, if given.
        input_size: (W, H) of the input images; None: 500 x 375, or as the data set stores them.
        seed: of phases and noise.

    Raises:
        BenchError: unknown model, or a size or seed that makes no sense.
    """
    if seed < 0:
        raise BenchError(f"expected --seed of at least 0, got {seed}")
    entry = model_entry(Request.of(model=model, dataset=dataset))
    data = registry.dataset(entry.dataset)
    size = paths.input_size(input_size, data)
    return TransferPlan(entry, data, paths.paths(entry, data), size, seed)


def run_transfer(plan: TransferPlan, **settings: Any) -> Transfer:
    """Measure a transfer function.

    Args:
        plan: what to measure.
        settings: `radii` and `noise_planes` of :func:`bench.probes.transfer.measure`.
    """
    response = measure(plan.paths.apply, plan.input_size, seed=plan.seed, **settings)
    return Transfer(plan, response, _describe(plan, response))


def rows(found: Transfer) -> list[dict[str, Any]]:
    """Return the rows of the result file."""
    points = [
        {"signal": "sinusoid", "grid": "radius", "number": point.step, "n": 1, **asdict(point)}
        for point in found.response.points
    ]
    rings = [{"signal": "noise", **asdict(ring)} for ring in found.response.rings]
    for point in points:
        del point["step"]
    return points + rings


def write(found: Transfer, files: FileSystem) -> list[str]:
    """Write `probes/<dataset>/<model>.transfer.{parquet,svg,png}`; return where they are.

    Raises:
        BenchError: the place can't be written.
    """
    from bench.figures.style import png, svg
    from bench.probes.drawing import drawing

    plan = found.plan
    address = store.probe_address(plan.dataset.name, plan.entry.name, "transfer")
    store.write(files, address, store.table(rows(found), store.TRANSFER), found.metadata)
    with files.open(address.file) as stream:
        digest = hashlib.sha256(stream.read()).hexdigest()
    shown = drawing(found.response, plan.entry.name, plan.transform)
    stem = address.file.removesuffix(".parquet")
    pictures = {f"{stem}.svg": svg(shown, digest), f"{stem}.png": png(shown, dpi=150)}
    for key, content in pictures.items():
        with files.put(key) as out:
            out.write(content)
    return [files.where(key) for key in (address.file, *pictures)]


def _describe(plan: TransferPlan, response: Response) -> dict[str, Any]:
    place = response.geometry
    height, width = (place.stop[1] - place.start[1], place.stop[0] - place.start[0])
    return {
        "probe": "transfer",
        "model": plan.entry.name,
        "dataset": plan.dataset.name,
        "entry": plan.entry.model_dump(mode="json", exclude_none=True),
        "native_size": plan.dataset.native_size,
        "transform": plan.transform,
        "preprocessing": {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in plan.paths.settings.items()
        },
        "input_size": list(place.input_size),
        "resized": list(place.resized),
        "output_size": list(place.output_size),
        "scale": list(place.scale),
        "shown": [list(place.start), list(place.stop)],
        "seed": response.seed,
        "radii": response.radii,
        "sinusoids": {
            "middle": sinusoids.MIDDLE,
            "amplitude": sinusoids.AMPLITUDE,
            "angles": sinusoids.ANGLES,
            "phases": sinusoids.PHASES,
        },
        "noise": {"levels": list(noise.LEVELS), "planes": response.noise_planes},
        "noise_rfc": dict(response.noise_rfc),
        "white_rfc": white_noise(height, width)["rfc"],
        "versions": versions(),
        "git": commit(),
        "made": now(),
    }
