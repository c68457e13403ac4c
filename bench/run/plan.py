"""From what the user asked for to everything that a run needs: entry, data, job, place."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from bench.data.base import Images, positions_of
from bench.data.check import check_readable
from bench.data.load import load_images
from bench.entries import registry
from bench.entries.dataset import DatasetEntry
from bench.entries.model import ModelEntry
from bench.entries.protocol import Protocol
from bench.errors import BenchError
from bench.files import ensure_writable
from bench.measure.block import block_samples
from bench.measure.job import Job
from bench.measure.memory import in_parts
from bench.models.load import LoadedModel, check, load
from bench.models.probes import check_model
from bench.results.store import CODE, IDENTITY, Store
from bench.run.batch_size import automatic_batch
from bench.run.machine import keep_freed_memory
from bench.run.metadata import describe
from bench.run.pace import choose, step_of
from bench.run.request import (
    Request,
    check_numbers,
    choose_attacks,
    choose_device,
    choose_ids,
    model_entry,
)


@dataclass(frozen=True)
class Plan:
    """A request that was found to be possible."""

    request: Request
    entry: ModelEntry
    dataset: DatasetEntry
    protocol: Protocol
    loaded: LoadedModel
    job: Job
    sample_ids: tuple[int, ...]
    attacks: tuple[str, ...]
    store: Store
    identity: Mapping[str, Any]
    metadata: Mapping[str, Any]
    partial_reasons: tuple[str, ...]

    @property
    def constants(self) -> dict[str, str]:
        """The columns that are the same in every row."""
        keys = ("protocol", "protocol_hash", "model", "dataset")
        return {key: str(self.metadata[key]) for key in keys}

    def missing(self, attack: str) -> list[tuple[int, ...]]:
        """Return the blocks of ids that this attack still has to run on.

        Blocks lie on a fixed grid over the protocol's ids, so that a resumed run makes the
        same batches as one that was not interrupted.
        """
        done = self.store.present(
            attack,
            finished=not self.request.overwrite,
            deltas=self.request.save_perturbations,
        )
        size = block_samples(self.job.batch_size)
        grid = [self.sample_ids[i : i + size] for i in range(0, len(self.sample_ids), size)]
        holes = [tuple(i for i in block if i not in done) for block in grid]
        return [block for block in holes if block]


def plan(request: Request, whole_split: bool = False) -> Plan:
    """Check a request from end to end, load model and data, and name its place.

    Args:
        request: what the user asked for.
        whole_split: measure the whole test split instead of the protocol's samples (the
            pseudo-attack `clean`).

    Raises:
        BenchError: something in it is impossible; nothing was run.
    """
    with _offline(request.offline):
        return _plan(request, whole_split)


@contextmanager
def _offline(wanted: bool) -> Iterator[None]:
    """Keep the hub's clients off the network for the time of a call, not for the whole process."""
    before = os.environ.get("HF_HUB_OFFLINE")
    if wanted:
        os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        yield
    finally:
        if wanted and before is None:
            del os.environ["HF_HUB_OFFLINE"]
        elif wanted and before is not None:
            os.environ["HF_HUB_OFFLINE"] = before


def _plan(request: Request, whole_split: bool) -> Plan:
    protocol = registry.protocol(request.protocol)
    attacks = () if whole_split else choose_attacks(request.attacks, protocol)
    check_numbers(request)
    entry = model_entry(request)
    dataset = registry.dataset(entry.dataset)
    device = choose_device(request.device)
    if device.type == "cpu":
        keep_freed_memory()
    folder = request.output
    ensure_writable(folder)
    trained = folder / "checkpoints" / f"{entry.name}.safetensors"
    check(entry, request.weights, trained)
    images = load_images(
        dataset,
        "test",
        data=request.data,
        data_dir=request.data_dir,
        registry_dir=registry.registry_dir(),
        offline=request.offline,
    )
    pool, ids, reasons = choose_ids(request, protocol, dataset, images, whole_split)
    loaded = load(entry, request.weights, device, request.trust, trained=trained)
    data = _data(images, dataset, pool, ids)
    if request.seed is not None and request.seed != protocol.seed:
        reasons = (*reasons, f"seed {request.seed} is not the protocol's {protocol.seed}")
    trained_on = loaded.weights.train_count
    if trained_on is not None and trained_on < dataset.train_count:
        reasons = (*reasons, f"weights trained on {trained_on} of {dataset.train_count} images")
    job = Job(
        model_name=entry.name,
        model=loaded.module,
        images=images,
        transform=loaded.transform,
        attacks={name: protocol.attacks[name] for name in attacks},
        pool_ids=pool,
        seed=protocol.seed if request.seed is None else request.seed,
        classes=loaded.classes,
        device=device,
        batch_size=1,
    )
    _probe(job, ids, loaded.input_shape)
    check_model(
        loaded.module,
        loaded.input_shape,
        loaded.classes,
        device,
        name=entry.name,
        gradients=bool(attacks),
    )
    known = describe(protocol, dataset, loaded, job, data, ids, reasons)
    place = Store(result_path(folder, protocol.name, dataset.name, known["model"], bool(reasons)))
    identity = {key: known[key] for key in (*IDENTITY, *CODE)}
    job, pace = _paced(request, job, ids, place, known["weights_sha256"])
    known.update(pace)
    return Plan(
        request,
        entry,
        dataset,
        protocol,
        loaded,
        job,
        ids,
        attacks,
        place,
        identity,
        known,
        reasons,
    )


def _data(
    images: Images, dataset: DatasetEntry, pool: Sequence[int], ids: Sequence[int]
) -> dict[str, Any]:
    """Read the images once, and return what identifies them, for the metadata."""
    # a transformed set is large: a limited run fingerprints its first image only
    read = ids[:1] if dataset.transform and len(ids) < len(pool) else pool
    wanted, known = ([int(p) for p in positions_of(images, some)] for some in (ids, read))
    digest = check_readable(images, wanted, known)
    return {"source": images.source, "fingerprint": digest, "fingerprint_of": len(read)}


def _paced(
    request: Request, job: Job, ids: tuple[int, ...], place: Store, weights_sha256: str
) -> tuple[Job, dict[str, Any]]:
    """Return the job with its batch size and model step, and both for the metadata.

    An unfinished run keeps what it began with, so that its rows do not depend on when it was
    interrupted.
    """
    kept = None if request.overwrite else place.noted("pace")
    before = kept if isinstance(kept, dict) else {}
    size = request.batch_size or before.get("batch_size")
    job = replace(job, batch_size=size or automatic_batch(job.model, job.load(ids[:1])))
    pace: dict[str, Any] = {"batch_size": job.batch_size}
    if job.attacks:
        choice = choose(job, ids, weights_sha256, before.get("step"))
        job = replace(job, step=step_of(job, choice, ids))
        pace["step"] = choice.describe()
    return job, pace


def result_path(output: Path, protocol: str, dataset: str, model: str, partial: bool) -> Path:
    """Return where a result goes: `<output>[/partial]/<protocol>/<dataset>/<model>.parquet`."""
    root = output / "partial" if partial else output
    return root / protocol / dataset / f"{model}.parquet"


def _probe(job: Job, ids: Sequence[int], shape: tuple[int, int, int]) -> None:
    """Run the model once, so that an unusable one is found before anything is written."""
    images = job.load(ids[:1])
    assert images.shape[1:] == shape, f"images are {tuple(images.shape[1:])}, not {shape}"
    try:
        in_parts(lambda _: job.logits(images), torch.arange(1), 1)
    except BenchError:
        raise
    except Exception as error:  # whatever the model's own code raises
        size = " x ".join(str(side) for side in shape)
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BenchError(
            f"expected a model that takes {size} images, got {reason!r}, from {job.model_name!r}; "
            "check dataset and input_size in its entry"
        ) from error
