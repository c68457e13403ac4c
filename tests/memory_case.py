"""Measures many samples of a small model and prints by how many bytes the process grew.

python tests/memory_case.py SAMPLES FOLDER
"""

from __future__ import annotations

import resource
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import torch
import toy
from work_cases import describe, metadata, task

from bench.data.arrays import ArrayImages
from bench.measure.block import run_block
from bench.results.tables import block_tables
from bench.results.workplace import at_work

BATCH = 512
SMALL = toy.PGD.model_copy(update={"steps": 1})
ATTACKS = ("pgd-l2", "bb-l2")


def main(samples: int, folder: Path) -> None:
    """Run two attacks; what grows while the second half is measured and merged is printed."""
    torch.set_num_threads(1)
    pixels = np.random.default_rng(0).integers(0, 256, (samples, 8, 8), dtype=np.uint8)
    labels = np.zeros(samples, dtype=np.int64)
    with torch.no_grad():
        for start in range(0, samples, 1000):
            images = torch.from_numpy(pixels[start : start + 1000, None]).float() / 255
            labels[start : start + 1000] = toy.linear()(images).argmax(1).numpy()
    job = replace(
        toy.job(toy.linear(), batch=BATCH),
        images=ArrayImages(np.arange(samples), labels, "toy", pixels),
        attacks=dict.fromkeys(ATTACKS, SMALL),
    )
    asked = replace(task(folder, range(samples)), size=BATCH)
    constants = {k: metadata()[k] for k in ("protocol", "protocol_hash", "model", "dataset")}
    before = 0
    with at_work(asked) as place:
        place.begin(asked.metadata)
        for number, unit in enumerate(place.units()):
            block = run_block(job, unit.attack, unit.ids)
            place.write(unit, block_tables(block, constants))
            if number == 1:
                before = peak()
        assert place.finish(describe)
        place.verify()
    columns = ["attack", "sample_id", "clean_correct", "success", "rfc"]
    assert len(asked.store.read(columns).to_pandas()) == 2 * samples
    print(peak() - before)


def peak() -> int:
    """The largest resident size so far, bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
