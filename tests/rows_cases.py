"""Made-up results of a small ranking protocol: only the columns that the board reads.

The registry has `minimal2026` with 240 samples (20 of them witnessed) and the paper's `caro2024`.
Nothing here is drawn from a model: norms, frequencies and statuses are set, so that every number
of the board can be worked out from the files with numpy alone.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from conftest import REPOSITORY

from bench.entries import registry
from bench.metrics import definitions

Array = npt.NDArray[Any]
Rows = dict[str, dict[str, Array]]

DATASET, N, WITNESSED = "fashionmnist", 240, 20
MINIMAL = f"""
name = "minimal2026"
title = "Made up for tests"
seed = 7
primary_attack = "min-l2"
witness_count = {WITNESSED}

[selection.default]
rule = "first"
count = {N}

[gates]
min_accuracy_over_chance = 2.0
min_kept = 100
kept_attack = "min-l2"
max_above_best = 0.05
max_mean_excess = 0.005
max_broken = 0.02
"""
SETTINGS = {
    "attacks.min-l2": ("brendel-bethge", "l2", "steps = 10\nlearning_rate = 1e-3"),
    "attacks.min-linf": ("brendel-bethge", "linf", "steps = 10\nlearning_rate = 1e-3"),
    "attacks.pgd-linf": (
        "pgd",
        "linf",
        'steps = 10\nepsilon = 0.03\nstep_size = 0.1\nstep_scale = "relative"',
    ),
    "witnesses.ddn-l2": ("foolbox-ddn", "l2", "steps = 10"),
    "witnesses.fmn-linf": ("foolbox-fmn", "linf", "steps = 10"),
    "witnesses.exact-l2": ("exact-affine", "l2", ""),
}
NORM = {name.split(".")[1]: norm for name, (_, norm, _) in SETTINGS.items()}


def make_registry(folder: Path) -> Path:
    """Make a registry with both protocols and the repository's models and data sets."""
    for name in ("models", "datasets", "data", "checkpoints"):
        (folder / name).symlink_to(REPOSITORY / "registry" / name)
    (folder / "protocols").mkdir()
    for source in (REPOSITORY / "registry" / "protocols").iterdir():
        (folder / "protocols" / source.name).write_bytes(source.read_bytes())
    text = MINIMAL
    for key, (algorithm, norm, more) in SETTINGS.items():
        text += f'\n[{key}]\nalgorithm = "{algorithm}"\nnorm = "{norm}"\nversion = 1\n{more}\n'
    (folder / "protocols" / "minimal2026.toml").write_text(text)
    return folder


def attack(
    rfc: Array, norm: Array, correct: Array, kind: str, status: str | Array = "ok"
) -> dict[str, Array]:
    """Return the columns of one attack on all samples; unattacked ones have no numbers."""
    n = len(rfc)
    said = np.where(correct, np.broadcast_to(np.asarray(status, dtype=object), n), "clean_wrong")
    ok = correct & (said == "ok")
    measured = correct & ~np.isin(said, ["nonfinite", "init_failed"])
    blank = np.where(measured, 1.0, np.nan)
    sizes = {name: blank * (norm if name == kind else 3 * norm) for name in ("l1", "l2", "linf")}
    return {
        "sample_id": np.arange(n),
        "clean_correct": correct,
        "success": ok | (said == "stalled"),
        "status": said,
        "zero_grad": np.zeros(n, dtype=bool),
        "rfc": blank * rfc,
        "hfe": blank * rfc / 2,
        "image_rfc": blank * 0.2,
        **sizes,
    }


def model(seed: int, level: float, accuracy: float = 0.9, best: float = 1.02) -> Rows:
    """Return the rows of one result; models share what makes a sample hard.

    Args:
        seed: of everything that is drawn for this model.
        level: its mean RFC.
        accuracy: share of clean-correct samples.
        best: what the witnesses find for one sample, over what the minimal attacks find.
    """
    rng, shared = np.random.default_rng([1, seed]), np.random.default_rng(0)
    n = N
    hard = shared.normal(0, 0.05, n)
    correct = rng.random(n) < accuracy
    rfc = level + hard + rng.normal(0, 0.02, n)
    l2 = np.exp(shared.normal(0, 0.4, n)) * np.exp(rng.normal(0, 0.05, n))
    linf = 0.03 * np.exp(rng.normal(0, 0.5, n))
    budget = np.where(linf < 0.03, "ok", "not_fooled")
    rows = {
        "min-l2": attack(rfc, l2, correct, "l2"),
        "min-linf": attack(rfc + 0.05, linf, correct, "linf"),
        "pgd-linf": attack(rfc + 0.1, np.full(n, 0.03), correct, "linf", budget),
    }
    order = registry.protocol("minimal2026").witness_order(DATASET)
    chosen = np.array([i for i in order if correct[i]][:WITNESSED])
    factor = np.full(n, 1.02)
    factor[chosen[0]] = best
    for name, size in (("ddn-l2", l2), ("fmn-linf", linf)):
        whole = attack(rfc, size * factor, correct, NORM[name])
        rows[name] = {column: values[chosen] for column, values in whole.items()}
    return rows


def caro(rows: Rows, longer: float) -> Rows:
    """Return what the paper's protocol finds on the same weights: bb-* longer, 1000 samples."""
    found = {}
    names = {"bb-l2": "min-l2", "bb-linf": "min-linf", "pgd-linf": "pgd-linf"}
    for name in registry.protocol("caro2024").attacks:
        source = rows[names.get(name, "pgd-linf")]
        columns = {k: np.concatenate([v, np.repeat(v[-1:], 1000 - N)]) for k, v in source.items()}
        columns["sample_id"] = np.arange(1000)
        if name == "bb-l2":
            columns["l2"] = columns["l2"] * np.where(np.arange(1000) % 2 == 0, longer, 1.0)
            columns["rfc"] = columns["rfc"] - 0.02
        found[name] = columns
    return found


def digest(name: str) -> str:
    """Return what stands for the SHA-256 of a result's weights."""
    return f"{zlib.crc32(name.encode()):064x}"


def write(folder: Path, name: str, rows: Rows, protocol: str = "minimal2026", **meta: Any) -> Path:
    """Write one result."""
    path = folder / protocol / DATASET / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {
        column: np.concatenate([part[column] for part in rows.values()])
        for column in next(iter(rows.values()))
    }
    columns["attack"] = np.concatenate(
        [np.full(len(part["rfc"]), attack) for attack, part in rows.items()]
    )
    table = pa.table({k: pa.array(v, from_pandas=v.dtype == float) for k, v in columns.items()})
    table = table.set_column(
        table.column_names.index("attack"), "attack", table["attack"].dictionary_encode()
    )
    base = name.split("@")[0]
    entry, spec = registry.model(base), registry.protocol(protocol)
    said = {
        "schema_version": 2,
        "protocol": protocol,
        "protocol_hash": registry.protocol(protocol).hash(DATASET),
        "model": name,
        "dataset": DATASET,
        "family": entry.family,
        "type": entry.type,
        "entry": entry.model_dump(mode="json", exclude_none=True),
        "input_shape": [1, 28, 28],
        "n_params": 1000,
        "attacks": {k: v.model_dump(mode="json") for k, v in spec.attacks.items()},
        "attack_hashes": {k: spec.attack_hash(DATASET, k) for k in spec.attacks},
        "metrics": definitions(),
        "weights": {"kind": "random" if "@random" in name else "default", "where": "a file"},
        "weights_sha256": digest(name),
        "control": "@random" in name,
        "seed": spec.seed,
        "device": "cpu",
        "versions": {},
        "git": {"commit": None, "dirty": False},
        "data_fingerprint": "0" * 64,
        "expected": dict.fromkeys(spec.attacks, N),
        "partial": False,
        "started": "2026-01-01T00:00:00+00:00",
        "ended": "2026-01-01T01:00:00+00:00",
        **meta,
    }
    pq.write_table(table.replace_schema_metadata({b"bench": json.dumps(said)}), path)
    return path


def read(path: Path, attack: str, n: int = N) -> dict[str, Array]:
    """Return the rows of one attack from a file, by sample id, NaN or False where there is none."""
    frame = pq.read_table(path).to_pandas()
    frame = frame[frame["attack"] == attack].set_index("sample_id").reindex(np.arange(n))
    correct = frame["clean_correct"].eq(True).to_numpy()
    ok = correct & frame["status"].eq("ok").to_numpy()
    norm = frame[NORM.get(attack, attack.split("-")[1])].to_numpy(float)
    return {
        "there": frame["status"].notna().to_numpy(),
        "correct": correct,
        "ok": ok,
        "rfc": np.where(ok, frame["rfc"].to_numpy(float), np.nan),
        "hfe": np.where(ok, frame["hfe"].to_numpy(float), np.nan),
        "image_rfc": np.where(ok, frame["image_rfc"].to_numpy(float), np.nan),
        "distance": np.where(ok, norm, np.inf),
    }
