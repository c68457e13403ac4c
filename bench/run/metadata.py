"""The metadata of a run: what its result file says of its making."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from bench.entries.attacks import AttackSettings, attack_hash
from bench.entries.dataset import DatasetEntry
from bench.entries.model import ModelEntry
from bench.entries.protocol import Protocol
from bench.measure.job import Job
from bench.metrics import definitions
from bench.models.identity import probe
from bench.models.load import LoadedModel, WeightsFound
from bench.results.metadata import VERSION, Metadata
from bench.results.provenance import commit, now, versions
from bench.results.transform import transform_text


def describe(
    protocol: Protocol,
    dataset: DatasetEntry,
    loaded: LoadedModel,
    job: Job,
    data: Mapping[str, Any],
    ids: Sequence[int],
    reasons: Sequence[str],
) -> dict[str, Any]:
    """Return the metadata of a run.

    Args:
        protocol: what is measured.
        dataset: on which images.
        loaded: the model.
        job: how.
        data: source and fingerprint of the images.
        ids: of the samples that are measured.
        reasons: why the result is partial.

    Raises:
        BenchError: something has no place in the metadata, as a seed of 2^64.
    """
    entry, weights = loaded.entry, loaded.weights
    spec: dict[str, AttackSettings] = {**protocol.attacks, **protocol.witnesses}
    found = {
        "schema_version": VERSION,
        "protocol": protocol.name,
        "protocol_hash": protocol.hash(dataset.name),
        "protocol_text": protocol.model_dump(mode="json", exclude={"selection"}),
        "attacks": {key: value.model_dump(mode="json") for key, value in spec.items()},
        "attack_hashes": {
            key: attack_hash(key, value, job.seed, job.pool_ids) for key, value in spec.items()
        },
        "metrics": definitions(),
        "model": result_name(entry, weights),
        "dataset": dataset.name,
        "family": entry.family,
        "type": entry.type,
        "entry": entry.model_dump(mode="json", exclude_none=True),
        "input_shape": list(loaded.input_shape),
        "native_size": dataset.native_size,
        "transform": transform_text(loaded.preprocessing, dataset.transform),
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
        "probe": probe(job.model, loaded.input_shape, job.device),
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
        "versions": versions(),
        "git": commit(),
        "data": dict(data),
        "data_fingerprint": data["fingerprint"],
        "expected": {attack: len(ids) for attack in protocol.attacks},
        "partial": bool(reasons),
        "partial_reasons": list(reasons),
        "started": now(),
    }
    return Metadata.of(found, f"this run of {entry.name}").as_json()


def result_name(entry: ModelEntry, weights: WeightsFound) -> str:
    """Return `<model>[@random][@seedN]`: controls and other training seeds stand apart."""
    name = entry.name.partition("@")[0]
    if weights.kind == "random":
        return f"{name}@random"
    stated = entry.weights.seed if entry.weights is not None else None
    if weights.train_seed in (None, stated or 0):
        return entry.name
    return f"{name}@seed{weights.train_seed}"


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return f"cuda: {torch.cuda.get_device_name(device)}"
    return f"cpu: {torch.backends.cpu.get_cpu_capability()}"
