"""Made-up submissions that are right in themselves, written without the code under test.

Perturbations are filtered noise on the embedded images; every column is worked out with numpy. So
`bench check` must find nothing wrong, and the order of the models' RFC is known: it follows from
the slope of the filter.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from bench.entries import registry
from bench.metrics import METRICS, definitions
from bench.results import schema

Array = npt.NDArray[Any]

SIZE = 28
PROTOCOL, DATASET = "caro2024", "fashionmnist"
BUDGETS = {"pgd-linf": 8 / 255, "pgd-l2": 2.0, "pgd-l1": 0.1 * SIZE * SIZE}


@dataclass(frozen=True)
class Case:
    """One made-up submission.

    Attributes:
        name: file stem and `model` of every row.
        slope: amplitude falls as radius ** -slope; larger is lower-frequency.
        scale: median Brendel-Bethge L2 norm.
        accuracy: share of clean-correct samples.
        success: share of clean-correct samples that Brendel-Bethge fools.
        seed: seed of everything that is drawn.
    """

    name: str
    slope: float = 0.5
    scale: float = 0.5
    accuracy: float = 0.9
    success: float = 1.0
    seed: int = 0


def radius(size: int = SIZE) -> Array:
    """Return (size, size) radii in units of Nyquist."""
    f = np.fft.fftfreq(size)
    return 2 * np.sqrt(f[:, None] ** 2 + f[None, :] ** 2)


def noise(rng: np.random.Generator, count: int, slope: float, size: int = SIZE) -> Array:
    """Return (count, size, size) noise whose amplitude falls as radius ** -slope, unit L2."""
    r = radius(size)
    r[0, 0] = np.inf
    field = np.fft.fft2(rng.normal(size=(count, size, size))) * r**-slope
    values = np.fft.ifft2(field).real
    return values / np.sqrt((values**2).sum(axis=(1, 2), keepdims=True))


def spectral(delta: Array) -> dict[str, Array]:
    """Return the spectral columns of (N, H, W) perturbations, from numpy's FFT alone."""
    size = delta.shape[-1]
    r = radius(size)
    k = np.abs(np.rint(np.fft.fftfreq(size, 1 / size)))
    power = np.abs(np.fft.fft2(delta, norm="ortho")) ** 2
    total = power.sum(axis=(1, 2))
    rest = power.copy()
    rest[:, 0, 0] = 0
    p = rest / rest.sum(axis=(1, 2), keepdims=True)
    flat, rings = p.reshape(len(p), -1), np.minimum((r / np.sqrt(2) * 64 + 1e-9).astype(int), 63)
    order = np.argsort(r.ravel(), kind="stable")
    cumulative = flat[:, order].cumsum(axis=1)
    angle = np.arctan2(k[:, None] + 0 * k[None, :], k[None, :] + 0 * k[:, None])
    near = (np.minimum(angle, np.pi / 2 - angle) <= np.pi / 8 + 1e-12) & (r > 0)
    outside = (k[:, None] > size / 8) | (k[None, :] > size / 8)
    amplitude = np.log(np.maximum(np.abs(np.fft.fft2(delta)), 1e-12)).reshape(len(p), -1)
    one_hot = np.eye(64)[rings.ravel()]
    with np.errstate(invalid="ignore", divide="ignore"):
        profile = amplitude @ one_hot / one_hot.sum(axis=0)
        entropy = -np.where(flat > 0, flat * np.log(np.where(flat > 0, flat, 1)), 0).sum(axis=1)
    return {
        "rfc": (p * r).sum(axis=(1, 2)),
        "hfe": p[:, r > 0.5].sum(axis=1),
        "f50": r.ravel()[order][(cumulative < 0.5 - 1e-12).sum(axis=1)],
        "kappa_high": np.sqrt(power[:, outside].sum(axis=1) / total),
        "dc_share": power[:, 0, 0] / total,
        "axis_share": p[:, near].sum(axis=1),
        "entropy": entropy / np.log(size * size - 1),
        "radial_energy": flat @ one_hot,
        "log_luma_profile": profile,
    }


@cache
def truth() -> tuple[Array, Array]:
    """Return the 1000 images (N, 28, 28), float32 in [0, 1], and their labels."""
    found = pq.read_table(registry.registry_dir() / "data/fashionmnist-test-first1000.parquet")
    pixels = np.frombuffer(b"".join(found["pixels"].to_pylist()), dtype=np.uint8)
    return (pixels.reshape(-1, SIZE, SIZE) / 255).astype(np.float32), found["label"].to_numpy()


@cache
def image_rfc() -> Array:
    """Return the RFC of these images."""
    return spectral(truth()[0].astype(np.float64))["rfc"]


def sized(rng: np.random.Generator, case: Case, attack: str, raw: Array) -> Array:
    """Return unit-L2 perturbations (N, 28, 28) with the size that an attack gives them."""
    if attack == "bb-linf":
        size = 0.02 * case.scale * rng.lognormal(0, 0.2, size=(len(raw), 1, 1))
        return raw * size / np.abs(raw).max(axis=(1, 2), keepdims=True)
    if attack == "bb-l2":
        return raw * case.scale * rng.lognormal(0, 0.4, size=(len(raw), 1, 1))
    if attack == "pgd-linf":
        return raw * BUDGETS[attack] / np.abs(raw).max(axis=(1, 2), keepdims=True)
    if attack == "pgd-l1":
        return raw * BUDGETS[attack] / np.abs(raw).sum(axis=(1, 2), keepdims=True)
    return raw * BUDGETS[attack]


def rows(case: Case) -> dict[str, Array]:
    """Return all columns of a case that are not constant, in file order; NaN or -1: missing.

    One unit perturbation a sample serves all attacks, which only give it another size; a
    spectrum does not depend on that.
    """
    rng = np.random.default_rng([zlib.crc32(case.name.encode()), case.seed])
    label, n = truth()[1], len(truth()[1])
    wrong = (label + rng.integers(1, 10, n)) % 10
    correct = rng.random(n) < case.accuracy
    raw = noise(rng, n, case.slope)
    shape = spectral(raw)
    parts = []
    for attack in registry.protocol(PROTOCOL).attacks:
        share = case.success if attack.startswith("bb") else 0.97
        fooled = correct & (rng.random(n) < share)
        delta = sized(rng, case, attack, raw)
        flat = delta.reshape(n, -1)
        scale = np.log(np.sqrt((flat**2).sum(axis=1)))[:, None]
        columns: dict[str, Array] = {
            "sample_id": np.arange(n),
            "label": label,
            "clean_pred": np.where(correct, label, wrong),
            "adv_pred": np.where(correct, np.where(fooled, wrong, label), -1),
            "clean_correct": correct,
            "success": fooled,
            "status": np.where(fooled, "ok", np.where(correct, "not_fooled", "clean_wrong")),
            "l0": (flat != 0).sum(axis=1).astype(float),
            "l1": np.abs(flat).sum(axis=1),
            "l2": np.sqrt((flat**2).sum(axis=1)),
            "linf": np.abs(flat).max(axis=1),
            "clip_share": np.zeros(n),
            **shape,
            "log_luma_profile": np.maximum(shape["log_luma_profile"] + scale, np.log(1e-12)),
            "image_rfc": image_rfc(),
            "grad_rfc": shape["rfc"],
            "zero_grad": np.zeros(n, dtype=bool),
            "seconds": np.full(n, 0.01),
        }
        for name in definitions(1):
            columns[name] = columns[name].astype(float)
            columns[name][~correct] = np.nan
        columns["attack"] = np.full(n, attack)
        digest = registry.protocol(PROTOCOL).attack_hash(DATASET, attack)
        columns["attack_hash"] = np.full(n, digest)
        parts.append(columns)
    return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}


def metadata(case: Case, **changes: Any) -> dict[str, Any]:
    """Return the metadata of a case, as `bench eval` writes it."""
    protocol = registry.protocol(PROTOCOL)
    base = case.name.split("@")[0]
    digest = hashlib.sha256(case.name.encode()).hexdigest()
    control = "@random" in case.name
    entry = registry.model(base)
    if not control and entry.weights is not None and entry.weights.sha256 is not None:
        digest = entry.weights.sha256
    weights = {
        "kind": "random" if control else "default",
        "where": "random" if control else f"checkpoints/{base}.safetensors",
        "file_sha256": None if control else digest,
        "state_dict_sha256": digest,
        "url": None,
        "revision": None,
    }
    ids = len(protocol.sample_ids(DATASET))
    return {
        "schema_version": schema.VERSION,
        "protocol": PROTOCOL,
        "protocol_hash": protocol.hash(DATASET),
        "protocol_text": protocol.model_dump(mode="json", exclude={"selection"}),
        "attacks": {k: v.model_dump(mode="json") for k, v in protocol.attacks.items()},
        "attack_hashes": {k: protocol.attack_hash(DATASET, k) for k in protocol.attacks},
        "metrics": definitions(1),
        "model": case.name,
        "dataset": DATASET,
        "family": entry.family,
        "type": entry.type,
        "entry": entry.model_dump(mode="json", exclude_none=True),
        "input_shape": [1, SIZE, SIZE],
        "native_size": SIZE,
        "n_params": 100_000 + zlib.crc32(base.encode()) % 1_000_000,
        "weights": weights,
        "weights_sha256": digest,
        "control": control,
        "seed": protocol.seed,
        "protocol_seed": protocol.seed,
        "device": "cpu: AVX2",
        "numerics": {"dtype": "float32"},
        "batch_size": 100,
        "versions": {"torch": "2.9"},
        "git": {"commit": "0" * 40, "dirty": False},
        "data": {
            "source": "embedded",
            "fingerprint": registry.dataset(DATASET).fingerprints.first1000,
        },
        "data_fingerprint": registry.dataset(DATASET).fingerprints.first1000,
        "expected": dict.fromkeys(protocol.attacks, ids),
        "present": dict.fromkeys(protocol.attacks, ids),
        "complete": True,
        "partial": False,
        "partial_reasons": [],
        "started": "2026-01-01T00:00:00+00:00",
        "ended": "2026-01-01T01:00:00+00:00",
        **changes,
    }


def table(columns: dict[str, Array], meta: dict[str, Any]) -> pa.Table:
    """Return the Arrow table of a submission: the design contract's columns and metadata, with the
    metrics of version 1, which is what `rows` measures and `metadata` states.
    """
    count = len(columns["sample_id"])
    arrays = []
    later = {m.name for m in METRICS if m.since > 1}
    form = pa.schema([field for field in schema.ROWS if field.name not in later])
    for field in form:
        name = field.name
        if pa.types.is_dictionary(field.type):
            values = columns.get(name, np.full(count, str(meta.get(name))))
            arrays.append(pa.array(values, type=pa.string()).dictionary_encode())
        elif pa.types.is_fixed_size_list(field.type):
            missing = np.isnan(columns[name]).all(axis=1)
            flat = pa.array(columns[name].astype(np.float32).ravel())
            arrays.append(
                pa.FixedSizeListArray.from_arrays(flat, type=field.type, mask=pa.array(missing))
            )
        elif name in ("label", "clean_pred", "adv_pred"):
            arrays.append(pa.array(columns[name], type=field.type, mask=columns[name] < 0))
        elif name == "zero_grad":
            missing = columns["status"] == "clean_wrong"
            arrays.append(pa.array(columns[name], type=field.type, mask=missing))
        else:
            arrays.append(pa.array(columns[name], type=field.type))
    made = pa.Table.from_arrays(arrays, schema=form)
    return made.replace_schema_metadata({schema.METADATA_KEY: json.dumps(meta)})


def compact(table: pa.Table, primary: str = "bb-l2") -> pa.Table:
    """As in a submission: the primary attack's profiles as float16, no others, float32 numbers."""
    itself = table["attack"].cast(pa.string()).to_numpy() == primary
    fields, arrays = [], []
    for field in table.schema:
        column = table[field.name].combine_chunks()
        if pa.types.is_fixed_size_list(field.type):
            kind = pa.list_(pa.float16(), field.type.list_size)
            gone = column.is_null().to_numpy(zero_copy_only=False) | ~itself
            values = np.stack(column.fill_null([np.nan] * 64).to_numpy(zero_copy_only=False))
            flat = pa.array(values.astype(np.float16).ravel())
            field = pa.field(field.name, kind)
            column = pa.FixedSizeListArray.from_arrays(flat, type=kind, mask=pa.array(gone))
        elif pa.types.is_float64(field.type):
            values = column.to_numpy(zero_copy_only=False)
            column = pa.array(np.where(itself, values, values.astype("f4")))
        fields.append(field)
        arrays.append(column)
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=table.schema.metadata))


def means(columns: dict[str, Array], primary: str = "bb-l2") -> list[dict[str, Any]]:
    """Return the side file's mean profiles of all attacks but the primary one."""
    found = []
    for attack in registry.protocol(PROTOCOL).attacks:
        kept = (columns["attack"] == attack) & columns["success"]
        for name in ("radial_energy", "log_luma_profile"):
            row = {"attack": attack, "kind": name, "n": int(kept.sum()), "shape": [64]}
            row["values"] = columns[name][kept].mean(axis=0).astype(np.float32)
            found += [row] if attack != primary else []
    return found


def extras(case: Case, columns: dict[str, Array]) -> pa.Table:
    """Return mean spectra and example images of a case, true to its rows."""
    rng = np.random.default_rng([zlib.crc32(case.name.encode()), case.seed])
    rng.integers(1, 10, 1000), rng.random(1000)
    raw = noise(rng, 1000, case.slope)
    power = np.abs(np.fft.fft2(raw)) ** 2
    power[:, 0, 0] = 0
    p = power / power.sum(axis=(1, 2), keepdims=True)
    found = []
    for attack in registry.protocol(PROTOCOL).attacks:
        here = columns["attack"] == attack
        kept = columns["success"][here]
        mean = np.fft.fftshift(p[kept].mean(axis=0))
        row = {"attack": attack, "kind": "spectrum", "n": int(kept.sum()), "shape": [SIZE, SIZE]}
        found.append({**row, "values": mean.astype(np.float32).ravel()})
        for i in np.flatnonzero(kept)[:4]:
            delta = raw[i] * columns["l2"][here][i]
            shown = {"attack": attack, "kind": "example", "sample_id": int(i), "n": 1}
            # a made-up perturbation may leave [0, 1]; so the image stays where both fit
            image = np.clip(truth()[0][i], np.abs(delta), 1 - np.abs(delta))
            shown |= {"shape": [1, SIZE, SIZE], "values": image.ravel(), "delta": delta.ravel()}
            found.append(shown)
    return pa.Table.from_pylist(found, schema=schema.EXTRAS)


def write(folder: Path, case: Case, **changes: Any) -> Path:
    """Write a case as `bench eval` would, under `folder`, and return the file's path."""
    path = folder / PROTOCOL / DATASET / f"{case.name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = rows(case)
    pq.write_table(table(columns, metadata(case, **changes)), path, compression="zstd")
    side = path.with_name(f"{case.name}.extras.parquet")
    pq.write_table(extras(case, columns), side, compression="zstd")
    return path


def record(path: Path, **changes: Any) -> dict[str, Any]:
    """Return a clean verification record of a result, as JSON says it."""
    return {
        "who": "ada",
        "when": "2026-01-02T00:00:00+00:00",
        "file_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "secret_sha256": "1" * 64,
        "hardware": "cpu",
        "versions": {"torch": "2.9"},
        "rows": 16,
        "of_rows": 5000,
        "reproduced": 16,
        "unsettled": 0,
        "contradicted": 0,
        "verdict": "reproduced",
        **changes,
    }


CASES = (
    Case("fashionmnist-fully-connected", slope=0.9, scale=0.35),
    Case("fashionmnist-fully-connected-relu", slope=0.8, scale=0.5),
    Case("fashionmnist-full-conv", slope=1.1, scale=0.3),
    Case("fashionmnist-full-conv-relu", slope=1.0, scale=0.45),
    Case("fashionmnist-local-conv", slope=0.3, scale=0.4),
    Case("fashionmnist-local-conv-relu", slope=0.3, scale=0.3),
    Case("fashionmnist-locally-connected", slope=0.6, scale=0.35),
    Case("fashionmnist-locally-connected-relu", slope=0.55, scale=0.4, success=0.9),
    Case("fashionmnist-fully-connected-relu@random", slope=0.0, scale=0.1, accuracy=0.12),
    Case("fashionmnist-local-conv-relu@random", slope=0.1, scale=0.1, accuracy=0.1),
)
"""Ten models: slopes .3 and .3 tie, one fails the Brendel-Bethge gate, two are controls."""
