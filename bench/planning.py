"""From what the user asked for to everything that a run needs: entry, data, job, place."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from bench import registry
from bench.calibration import choose, step_of
from bench.data.base import Images, fingerprint, positions_of
from bench.data.check import check_readable
from bench.data.load import load_images
from bench.entries import AttackSpec, DatasetEntry, ModelEntry, Protocol
from bench.errors import BenchError, unknown_name
from bench.evaluation import Job, block_samples
from bench.models.load import LoadedModel, check, load
from bench.results.files import ensure_writable
from bench.results.provenance import commit, now, versions
from bench.results.schema import VERSION
from bench.results.store import IDENTITY, Store

AUTO_BATCH = 128
"""Largest automatic batch; small images fill two cores well before."""
AUTO_VALUES = 16 * 3 * 224 * 224
"""Input values of an automatic batch, at most: 16 images of 224 x 224."""


@dataclass(frozen=True)
class Request:
    """What the user asked for; the options of `bench eval`."""

    model: str
    dataset: str | None = None
    weights: str | Path = "default"
    trust: bool = False
    attacks: tuple[str, ...] = ()
    protocol: str = "caro2024"
    data: str | None = None
    data_dir: Path | None = None
    limit: int | None = None
    batch_size: int | None = None
    device: str = "auto"
    seed: int | None = None
    output: Path = Path("results")
    overwrite: bool = False
    save_perturbations: bool = False
    offline: bool = False


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
        done = self.store.present(attack, self.request.save_perturbations)
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
    protocol = registry.protocol(request.protocol)
    attacks = () if whole_split else choose_attacks(request.attacks, protocol)
    _check_numbers(request)
    entry = model_entry(request)
    dataset = registry.dataset(entry.dataset)
    device = choose_device(request.device)
    folder = request.output
    ensure_writable(folder)
    if request.offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
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
    if not whole_split:
        check_readable(images, [int(p) for p in positions_of(images, ids)])
    if request.seed is not None and request.seed != protocol.seed:
        reasons = (*reasons, f"seed {request.seed} is not the protocol's {protocol.seed}")
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
        batch_size=request.batch_size or auto_batch(loaded.input_shape),
    )
    _probe(job, ids)
    known = _metadata(request, protocol, dataset, loaded, job, images, pool, ids, reasons)
    place = Store(result_path(folder, protocol.name, dataset.name, known["model"], bool(reasons)))
    identity = {key: known[key] for key in IDENTITY}
    if not whole_split:
        kept = None if request.overwrite else place.noted("step")
        choice = choose(job, ids, known["weights_sha256"], kept)
        job = replace(job, step=step_of(job, choice, ids))
        known["step"] = choice.describe()
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


def result_path(output: Path, protocol: str, dataset: str, model: str, partial: bool) -> Path:
    """Return where a result goes: `<output>[/partial]/<protocol>/<dataset>/<model>.parquet`."""
    root = output / "partial" if partial else output
    return root / protocol / dataset / f"{model}.parquet"


def model_entry(request: Request) -> ModelEntry:
    """Return the request's entry; a timm name without an entry gets timm's full tag.

    Raises:
        BenchError: unknown model, or another data set than the entry's.
    """
    try:
        entry = registry.model(request.model)
    except BenchError as unknown:
        if request.model.endswith(".toml"):
            raise
        from bench.models.timm_source import known_tag

        try:
            return registry.timm_entry(known_tag(request.model))
        except BenchError:
            raise unknown from None
    if request.dataset is not None and request.dataset != entry.dataset:
        registry.dataset(request.dataset)
        raise BenchError(
            f"expected --dataset {entry.dataset} for model {entry.name!r}, got "
            f"{request.dataset}; leave it out, or name a model of that data set"
        )
    return entry


def choose_attacks(names: Sequence[str], protocol: Protocol) -> tuple[str, ...]:
    """Return the chosen attacks in the protocol's order; all of them for none.

    Raises:
        BenchError: an attack that the protocol does not have.
    """
    for name in names:
        if name not in protocol.attacks:
            raise unknown_name("attack", name, [*protocol.attacks, "clean"])
    return tuple(name for name in protocol.attacks if not names or name in names)


def choose_device(name: str) -> torch.device:
    """Return the device of `--device auto|cpu|cuda[:i]`.

    Raises:
        BenchError: not such a name, or a GPU that is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdigit()):
        raise BenchError(f"expected --device auto, cpu, cuda or cuda:<i>, got {name!r}")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise BenchError(
            f"expected a GPU for --device {name}, found {torch.cuda.device_count()}; "
            "use --device cpu"
        )
    return torch.device(name)


def choose_ids(
    request: Request,
    protocol: Protocol,
    dataset: DatasetEntry,
    images: Images,
    whole_split: bool = False,
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[str, ...]]:
    """Return the start pool's ids, the ids to measure, and why the result is partial."""
    reasons: tuple[str, ...] = ()
    pool = protocol.sample_ids(dataset.name)
    if request.data == "samples":
        pool = tuple(int(i) for i in images.ids)
        reasons = (f"foolbox's {len(pool)} sample images",)
    elif whole_split:
        pool = tuple(int(i) for i in images.ids)
        if len(pool) < dataset.test_count:
            reasons = (f"{len(pool)} of {dataset.test_count} test images",)
    ids = pool
    if request.limit is not None and request.limit < len(pool):
        ids = pool[: request.limit]
        reasons = (*reasons, f"first {len(ids)} of {len(pool)} samples")
    positions_of(images, pool)
    return pool, ids, reasons


def auto_batch(shape: tuple[int, int, int]) -> int:
    """Return the automatic batch size for an input shape."""
    values = shape[0] * shape[1] * shape[2]
    return max(1, min(AUTO_BATCH, AUTO_VALUES // values))


def _check_numbers(request: Request) -> None:
    for name, value in (("--limit", request.limit), ("--batch-size", request.batch_size)):
        if value is not None and value < 1:
            raise BenchError(f"expected {name} of at least 1, got {value}")
    if request.seed is not None and request.seed < 0:
        raise BenchError(f"expected --seed of at least 0, got {request.seed}")
    if "://" in str(request.output):
        raise BenchError(f"expected a local folder for --output, got {str(request.output)!r}")


def _probe(job: Job, ids: Sequence[int]) -> None:
    """Run the model once, so that an unusable one is found before anything is written."""
    job.logits(job.load(ids[:1]))


def _metadata(
    request: Request,
    protocol: Protocol,
    dataset: DatasetEntry,
    loaded: LoadedModel,
    job: Job,
    images: Images,
    pool: Sequence[int],
    ids: Sequence[int],
    reasons: Sequence[str],
) -> dict[str, Any]:
    entry, weights = loaded.entry, loaded.weights
    name = entry.name + ("@random" if weights.kind == "random" else "")
    # a transformed set is large: a limited run fingerprints what it reads of it
    read = ids[:1] if dataset.transform and len(ids) < len(pool) else pool
    digest = fingerprint(images, [int(p) for p in positions_of(images, read)])
    spec: dict[str, AttackSpec] = dict(protocol.attacks)
    return {
        "schema_version": VERSION,
        "protocol": protocol.name,
        "protocol_hash": protocol.hash(dataset.name),
        "protocol_text": protocol.model_dump(mode="json", exclude={"selection"}),
        "attacks": {key: value.model_dump(mode="json") for key, value in spec.items()},
        "model": name,
        "dataset": dataset.name,
        "family": entry.family,
        "type": entry.type,
        "entry": entry.model_dump(mode="json", exclude_none=True),
        "input_shape": list(loaded.input_shape),
        "native_size": dataset.native_size,
        "preprocessing": {k: _plain(v) for k, v in loaded.preprocessing.items()},
        "n_params": loaded.n_params,
        "weights": {
            "kind": weights.kind,
            "where": weights.where,
            "file_sha256": weights.file_sha256,
            "state_dict_sha256": weights.state_dict_sha256,
            "url": entry.weights.url if entry.weights else None,
            "revision": entry.weights.revision if entry.weights else None,
        },
        "weights_sha256": weights.sha256,
        "control": weights.kind == "random",
        "seed": job.seed,
        "protocol_seed": protocol.seed,
        "device": _device_name(job.device),
        "numerics": {
            "dtype": "float32",
            "matmul_precision": torch.get_float32_matmul_precision(),
            "tf32_matmul": torch.backends.cuda.matmul.allow_tf32,
            "tf32_cudnn": torch.backends.cudnn.allow_tf32,
            "threads": torch.get_num_threads(),
        },
        "batch_size": job.batch_size,
        "versions": versions(),
        "git": commit(),
        "data": {"source": images.source, "fingerprint": digest, "fingerprint_of": len(read)},
        "data_fingerprint": digest,
        "expected": {attack: len(ids) for attack in protocol.attacks},
        "partial": bool(reasons),
        "partial_reasons": list(reasons),
        "started": now(),
    }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return f"cuda: {torch.cuda.get_device_name(device)}"
    return f"cpu: {torch.backends.cpu.get_cpu_capability()}"
