"""Opening a model on its images: from what was asked for to what can be measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.data.base import Images, positions_of
from bench.data.check import check_readable
from bench.data.load import load_images
from bench.entries import registry
from bench.entries.dataset import DatasetEntry
from bench.entries.model import ModelEntry
from bench.entries.protocol import Protocol
from bench.errors import BenchError
from bench.measure.job import Job, classes_of
from bench.measure.memory import in_parts
from bench.models.load import LoadedModel, check, load
from bench.models.memory import REASON, InMemory, load_memory
from bench.models.probes import check_model
from bench.results.filesystem import url_of
from bench.run.choose import choose_attacks, choose_device, choose_ids, model_entry
from bench.run.machine import keep_freed_memory
from bench.run.metadata import result_name
from bench.run.request import Request

WITNESS_PASS = 32
"""Images that are predicted together while samples for witnesses are chosen."""


@dataclass(frozen=True)
class Opened:
    """A model on its images; nothing of where results go or how fast it is run.

    Attributes:
        request: what was asked for.
        entry: the model's.
        dataset: its data set's.
        protocol: what is measured.
        attacks: the chosen ones and witnesses, in the protocol's order.
        loaded: the model.
        pool: ids that start points are drawn from.
        ids: of the samples that are measured, in order.
        reasons: why the result is partial; none: it is not.
        data: source and fingerprint of the images, for the metadata.
        job: model and images for measuring, at batch size 1 until its pace is chosen.
        witnessed: ids that witnesses run on, increasing; none if no witness was chosen.
    """

    request: Request
    entry: ModelEntry
    dataset: DatasetEntry
    protocol: Protocol
    attacks: tuple[str, ...]
    loaded: LoadedModel
    pool: tuple[int, ...]
    ids: tuple[int, ...]
    reasons: tuple[str, ...]
    data: dict[str, Any]
    job: Job
    witnessed: tuple[int, ...] = ()

    def ids_of(self, attack: str) -> tuple[int, ...]:
        """Return the samples of an attack: all, but for witnesses of models that are not affine."""
        witness = self.protocol.witnesses.get(attack)
        return self.ids if witness is None or witness.affine_only else self.witnessed


def open_model(request: Request, memory: InMemory | None = None) -> Opened:
    """Load what a request names, and find out whether it can be measured.

    Args:
        request: what was asked for.
        memory: the model, if it is in memory.

    Raises:
        BenchError: something in it is impossible; nothing was run.
    """
    what, where = request.what, request.where
    protocol = registry.protocol(what.protocol)
    if not request.clean:
        choose_attacks(what.attacks, protocol)  # an unknown name is said before anything is loaded
    entry = model_entry(request) if memory is None else memory.entry
    dataset = registry.dataset(entry.dataset)
    device = choose_device(request.how.device)
    if device.type == "cpu":
        keep_freed_memory()
    # `bench train` writes to this machine, wherever results go
    folder = Path(where.output if url_of(where.output) is None else "results")
    trained = folder / "checkpoints" / f"{entry.name}.safetensors"
    if memory is None:
        check(entry, what.weights, trained)
    images = load_images(
        dataset,
        "test",
        data=request.data.source,
        data_dir=None if request.data.dir is None else Path(request.data.dir),
        registry_dir=registry.registry_dir(),
        offline=where.offline,
    )
    pool, ids, reasons = choose_ids(request, protocol, dataset, images)
    if memory is not None:
        loaded, reasons = load_memory(memory, device), (REASON, *reasons)
    else:
        off = where.offline
        loaded = load(entry, what.weights, device, what.trust, trained=trained, offline=off)
    data = _data(images, dataset, pool, ids)
    trained_on = loaded.weights.train_count
    if trained_on is not None and trained_on < dataset.train_count:
        reasons = (*reasons, f"weights trained on {trained_on} of {dataset.train_count} images")
    everything = {**protocol.attacks, **protocol.witnesses}
    attacks: tuple[str, ...] = ()
    if not request.clean:
        lean = "@" in result_name(entry, loaded.weights)
        attacks = choose_attacks(what.attacks, protocol, lean, loaded.affine)
    job = Job(
        model_name=entry.name,
        model=loaded.module,
        images=images,
        transform=loaded.transform,
        attacks={name: everything[name] for name in attacks},
        pool_ids=pool,
        seed=protocol.seed if what.seed is None else what.seed,
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
    witnesses = [name for name in attacks if name in protocol.witnesses]
    witnessed = _witnessed(job, protocol, dataset.name, ids) if witnesses else ()
    return Opened(
        request, entry, dataset, protocol, attacks, loaded, pool, ids, reasons, data, job, witnessed
    )


def _witnessed(job: Job, protocol: Protocol, dataset: str, ids: Sequence[int]) -> tuple[int, ...]:
    """Return the ids that witnesses run on: the first clean-correct ones in the seeded order.

    Pass by pass from the beginning of that order, so that a large model predicts no more than it
    must.
    """
    asked = set(ids)
    order = [i for i in protocol.witness_order(dataset) if i in asked]
    correct: list[int] = []
    for start in range(0, len(order), WITNESS_PASS):
        some = order[start : start + WITNESS_PASS]
        images, labels = job.load(some), job.labels(some)
        right_of = partial(_right, job, images, labels)
        right = torch.cat(in_parts(right_of, torch.arange(len(some)), WITNESS_PASS))
        correct += [i for i, ok in zip(some, right.tolist(), strict=True) if ok]
        if len(correct) >= protocol.witness_count:
            break
    return tuple(sorted(correct[: protocol.witness_count]))


def _right(job: Job, images: Tensor, labels: Tensor, some: Tensor) -> Tensor:
    """Return which of some images are classified correctly, (b,) bool."""
    found: Tensor = classes_of(job.logits(images[some])) == labels[some]
    return found


def _data(
    images: Images, dataset: DatasetEntry, pool: Sequence[int], ids: Sequence[int]
) -> dict[str, Any]:
    """Read the images once, and return what identifies them, for the metadata."""
    # a transformed set is large: a limited run fingerprints its first image only
    read = ids[:1] if dataset.transform and len(ids) < len(pool) else pool
    wanted, known = ([int(p) for p in positions_of(images, some)] for some in (ids, read))
    digest = check_readable(images, wanted, known)
    return {"source": images.source, "fingerprint": digest, "fingerprint_of": len(read)}


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
