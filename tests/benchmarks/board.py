"""How long and how much memory the board takes for very many submissions.

    python tests/benchmarks/board.py --models 10000 --folder /tmp/many

writes 10,000 submissions of 5,000 rows (50 million rows; the two profile columns constant, every
other number drawn) unless they are there, then runs the real `bench leaderboard` on them without
figures and per-model plots, in a process of its own, and prints seconds and peak memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from bench.entries import registry
from bench.metrics import definitions
from bench.results import schema

DATASET, PROTOCOL = "fashionmnist", "caro2024"


def columns(rng: np.random.Generator, attacks: list[str], ids: int, level: float) -> list[pa.Array]:
    """Return the columns of one submission; `level` is the model's mean RFC."""
    rows = len(attacks) * ids
    correct = np.tile(rng.random(ids) < 0.9, len(attacks))
    fooled = correct & (rng.random(rows) < 0.99)
    label = np.tile(rng.integers(0, 10, ids), len(attacks)).astype(np.int32)
    pred = np.where(correct, label, (label + 1) % 10)
    adversarial = np.where(fooled, (label + 1) % 10, label)
    status = np.where(fooled, "ok", np.where(correct, "not_fooled", "clean_wrong"))
    drawn: dict[str, npt.NDArray[np.float64]] = {
        "rfc": rng.normal(level, 0.05, rows),
        "hfe": rng.normal(level, 0.05, rows),
        "image_rfc": rng.normal(0.15, 0.02, rows),
    }
    known = {
        "sample_id": np.tile(np.arange(ids), len(attacks)),
        "label": label,
        "clean_pred": pred,
        "adv_pred": adversarial,
        "clean_correct": correct,
        "success": fooled,
        "status": status,
        "zero_grad": np.zeros(rows, dtype=bool),
    }
    arrays = []
    for field in schema.ROWS:
        if pa.types.is_dictionary(field.type):
            names = attacks if field.name == "attack" else ["x"]
            codes = np.repeat(np.arange(len(names), dtype=np.int32), rows // len(names))
            arrays.append(pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(names)))
        elif pa.types.is_fixed_size_list(field.type):
            flat = pa.array(np.full(rows * 64, 1 / 64, dtype=np.float32))
            arrays.append(pa.FixedSizeListArray.from_arrays(flat, type=field.type))
        elif field.name in known:
            arrays.append(pa.array(known[field.name], type=field.type))
        else:
            values = drawn.get(field.name, rng.random(rows))
            arrays.append(pa.array(values, type=field.type, mask=~correct))
    return arrays


def write(folder: Path, models: int) -> None:
    """Write the submissions that are not there yet."""
    protocol = registry.protocol(PROTOCOL)
    attacks, ids = list(protocol.attacks), len(protocol.sample_ids(DATASET))
    target = folder / PROTOCOL / DATASET
    target.mkdir(parents=True, exist_ok=True)
    for number in range(models):
        path = target / f"model-{number:05d}.parquet"
        if path.exists():
            continue
        metadata = {
            "schema_version": schema.VERSION,
            "protocol": PROTOCOL,
            "protocol_hash": protocol.hash(DATASET),
            "attacks": {},
            "attack_hashes": {},
            "metrics": definitions(),
            "model": path.stem,
            "dataset": DATASET,
            "family": f"family-{number % 20}",
            "type": "Convolutional",
            "input_shape": [1, 28, 28],
            "n_params": 1_000_000,
            "entry": {},
            "weights": {"kind": "default"},
            "weights_sha256": "0" * 64,
            "control": False,
            "seed": protocol.seed,
            "device": "cpu",
            "versions": {},
            "git": {},
            "data_fingerprint": "",
            "expected": {},
            "partial": False,
            "started": "2026-01-01",
        }
        rng = np.random.default_rng(number)
        table = pa.Table.from_arrays(
            columns(rng, attacks, ids, 0.3 + 0.3 * rng.random()), schema=schema.ROWS
        ).replace_schema_metadata({schema.METADATA_KEY: json.dumps(metadata)})
        temporary = path.with_suffix(".tmp")
        pq.write_table(table, temporary, compression="zstd")
        temporary.replace(path)


def main() -> None:
    """Write, run, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    begin = time.perf_counter()
    write(options.folder / "submissions", options.models)
    print(f"writing: {time.perf_counter() - begin:.1f} s")
    command = [sys.executable, "-m", "bench", "leaderboard", "--no-figures"]
    command += ["--submissions", str(options.folder / "submissions")]
    command += ["--output", str(options.folder / "leaderboard")]
    begin = time.perf_counter()
    subprocess.run(command, check=True)
    seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(f"{options.models} models: {seconds:.1f} s, peak memory {peak:.2f} GiB")


if __name__ == "__main__":
    main()
