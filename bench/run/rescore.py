"""Metrics measured again, or for the first time, from stored perturbations; nothing is attacked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from bench.data.base import Images, Transform, load_batch, positions_of
from bench.data.check import check_readable
from bench.data.load import load_images
from bench.entries import registry
from bench.errors import BenchError, unknown_name
from bench.measure.lean import agrees, measure, restored
from bench.metrics import METRICS, Metric, by_name, readable
from bench.models import preprocessing
from bench.models.choose import choose_model
from bench.results import schema
from bench.results.address import Address, ModelName
from bench.results.filesystem import files_at
from bench.results.rescored import Rows, Saved, saved
from bench.results.store import Store
from bench.run.request import Request
from bench.spectrum import spectral_metrics

OF_THE_MODEL = ("grad_rfc",)
"""Metrics that the model has to be run for; they stay as they are."""
WRONG = 0.01
"""Share of rows that may differ from what is stored by more than the tolerance."""


@dataclass(frozen=True)
class Change:
    """What became of one metric of one attack.

    Attributes:
        attack, metric: names.
        n: rows that were measured.
        filled: those that had no value before and have one now.
        largest: largest difference where there was a value, NaN where there was none; of a
            profile the sum of its differences.
        written: the column was replaced.
    """

    attack: str
    metric: str
    n: int
    filled: int
    largest: float
    written: bool


def rescore(
    request: Request, metrics: Sequence[str] = (), everything: bool = False
) -> list[Change]:
    """Fill what a finished result lacks from its stored perturbations.

    All metrics are measured. Those that the file has are compared with it, so that other images
    or perturbations are found out; those that it lacks are filled, and others only if named.

    Args:
        request: model (as in the results: `<model>[@random][@seedN]`), protocol, data, output.
        metrics: names; none: what the file lacks (an earlier version, or an earlier definition).
        everything: replace all metrics.

    Raises:
        BenchError: no such result, no perturbations, or they are not those of its rows.
    """
    for name in metrics:
        if name not in by_name():
            raise unknown_name("metric", name, tuple(by_name()))
        if name in OF_THE_MODEL:
            raise BenchError(
                f"expected a metric of perturbations, got {name}, which needs the model; leave it "
                "out, or measure again with `bench eval --overwrite`"
            )
    store, metadata = _find(request)
    rows = Rows(store, metadata)
    stated = dict(metadata.get("metrics") or {})
    have = {m.name for m in readable(stated)}
    measured = [m for m in METRICS if m.name not in OF_THE_MODEL]
    wanted = [
        m.name for m in measured
        if everything or m.name in metrics or (not metrics and m.name not in have)
    ]  # fmt: skip
    found, seen = _measured(request, rows, metadata, measured)
    changes = _changes(rows, found, seen, measured, wanted, have)
    if wanted:
        rows.write(
            {name: np.where(_like(seen, found[name]), found[name], rows.columns[name])
             for name in wanted},
            {**stated, **{name: by_name()[name].definition for name in wanted}},
        )  # fmt: skip
    return changes


def _find(request: Request) -> tuple[Store, dict[str, Any]]:
    """Return the one finished result of that name, and its metadata."""
    what, files = request.what, files_at(request.where.output)
    name = str(ModelName.parse(what.model))
    dataset = request.data.dataset or choose_model(ModelName.parse(what.model).entry).dataset
    for partial in (False, True):
        store = Store(files, Address(what.protocol, dataset, name, partial))
        metadata = store.metadata()
        if metadata is None:
            continue
        if files.keys(store.address.blocks):
            raise BenchError(
                f"expected a finished result at {store.where}, found a run that is not finished; "
                "give its `bench eval` command again first"
            )
        return store, metadata
    where = files.where(Address(what.protocol, dataset, name).file)
    raise BenchError(
        f"expected a result at {where} (or under partial/), found none; measure it with `bench "
        "eval --save-perturbations` first, or name its folder with --output"
    )


class _Source:
    """The clean images of a result's samples."""

    def __init__(self, request: Request, metadata: Mapping[str, Any], ids: Sequence[int]) -> None:
        dataset = registry.dataset(str(metadata["dataset"]))
        entry = choose_model(ModelName.parse(str(metadata["model"])).entry, dataset.name)
        self.images: Images = load_images(
            dataset, "test", data=request.data.source, data_dir=_path(request.data.dir),
            registry_dir=registry.registry_dir(), offline=request.where.offline,
        )  # fmt: skip
        settings = preprocessing.settings(entry, dataset)
        self.transform: Transform | None = preprocessing.transform(dataset, settings)
        self._check(metadata, dataset.name, ids)

    def _check(self, metadata: Mapping[str, Any], dataset: str, ids: Sequence[int]) -> None:
        """Raise BenchError unless the images are those that the result was measured on."""
        pool = registry.protocol(str(metadata["protocol"])).sample_ids(dataset)
        count = (metadata.get("data") or {}).get("fingerprint_of") or len(pool)
        if "samples" in str((metadata.get("data") or {}).get("source")):
            pool = tuple(int(i) for i in self.images.ids)
        known = pool if count == len(pool) else ids[:count]
        places = [int(p) for p in positions_of(self.images, known)]
        if check_readable(self.images, [], places) != metadata["data_fingerprint"]:
            raise BenchError(
                "expected the images that the result was measured on, found others, in "
                f"{self.images.source}; name the right ones with --data or --data-dir"
            )

    def load(self, ids: npt.NDArray[np.int64]) -> torch.Tensor:
        """Return images (B, C, H, W) float32 in [0, 1]."""
        places = positions_of(self.images, ids.tolist()).tolist()
        return load_batch(self.images, places, self.transform)


def _path(text: str | None) -> Any:
    from pathlib import Path

    return None if text is None else Path(text)


def _measured(
    request: Request, rows: Rows, metadata: Mapping[str, Any], metrics: Sequence[Metric]
) -> tuple[dict[str, npt.NDArray[np.float64]], npt.NDArray[np.bool_]]:
    """Return metric -> (N,) or (N, 64) of all rows, and which rows were measured."""
    count = len(rows.columns)
    found = {m.name: np.full((count, *([m.length] if m.length else [])), np.nan) for m in metrics}
    seen = np.zeros(count, dtype=bool)
    key = rows.store.side("perturbations")
    usable = ~np.isin(rows.columns["status"], schema.UNMEASURED)
    source: _Source | None = None
    for some in saved(rows.store.files, key):
        places = rows.places(some.attack, some.sample_ids)
        there = (places >= 0) & usable[places]
        if not there.any():
            continue
        source = source or _Source(request, metadata, np.unique(rows.columns["sample_id"]).tolist())
        values = _batch(source, some, there, rows.columns["grad_rfc"][places[there]], metrics)
        for name, value in values.items():
            found[name][places[there]] = value
        seen[places[there]] = True
    return found, seen


def _batch(
    source: _Source,
    some: Saved,
    there: npt.NDArray[np.bool_],
    grad_rfc: npt.NDArray[np.float64],
    metrics: Sequence[Metric],
) -> dict[str, npt.NDArray[np.float64]]:
    """Measure some perturbations."""
    clean = source.load(some.sample_ids[there])
    stored, bits = torch.from_numpy(some.deltas[there]), torch.from_numpy(some.bits[there])
    if stored.shape != clean.shape:
        raise BenchError(
            f"expected perturbations of {tuple(clean.shape[1:])} images, found "
            f"{tuple(stored.shape[1:])}; the model's input size has changed since"
        )
    image_rfc = spectral_metrics(clean)["rfc"]
    batch = measure(clean, restored(clean, stored, bits), image_rfc, torch.from_numpy(grad_rfc))
    return {m.name: m.values(batch).double().numpy() for m in metrics}


def _changes(
    rows: Rows,
    found: Mapping[str, npt.NDArray[np.float64]],
    seen: npt.NDArray[np.bool_],
    metrics: Sequence[Metric],
    wanted: Sequence[str],
    have: set[str],
) -> list[Change]:
    """Compare what was measured with what is stored.

    Raises:
        BenchError: too many rows differ from what the file has of them.
    """
    changes, attacks = [], rows.columns["attack"]
    for attack in dict.fromkeys(attacks[seen].tolist()):
        here = seen & (attacks == attack)
        for metric in metrics:
            old, new = (torch.from_numpy(v[metric.name][here]) for v in (rows.columns, found))
            gap = (old - new).abs().nan_to_num()
            sums = gap.sum(1) if metric.length else gap
            known, now = (~v.isnan().reshape(len(v), -1).all(1) for v in (old, new))
            if metric.name in have and float((~agrees(metric, old, new)).double().mean()) > WRONG:
                raise BenchError(
                    f"expected the perturbations and images of these rows, found {metric.name} of "
                    f"{attack} off by up to {float(sums.max()):.3g}, in {rows.store.where}; "
                    "nothing was written. Measure them again with `bench eval --overwrite "
                    "--save-perturbations`"
                )
            largest = float(sums[known & now].max()) if bool((known & now).any()) else np.nan
            filled = int((now & ~known).sum())
            is_written = metric.name in wanted
            changes.append(
                Change(attack, metric.name, int(here.sum()), filled, largest, is_written)
            )
    return changes


def _like(seen: npt.NDArray[np.bool_], values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    return seen.reshape(-1, *[1] * (values.ndim - 1))
