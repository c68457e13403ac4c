"""A tiny study on made-up images, for the tests of studies."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from fabricate import write_idx
from test_train import without_fingerprints

from bench.entries import registry
from bench.results.workplace import Timing
from bench.studies.run import StudyRun
from bench.studies.source import Source

QUICK = Timing(beat=0.05, stale=0.5, poll=0.01, longest=0.05)
TRAIN, TEST = 240, 40

TINY = """
name = "tiny"
title = "A study of seconds"
known = ["Nothing."]
samples = 12
linear_samples = 30
checkpoints = [0, 1, 2]

[fixed]
epochs = 2
learning_rate = 0.01

[[groups]]
name = "linear"
title = "Linear nets"
priority = 1
seeds = [0, 1]
[groups.factors]
relu = [false]
family = ["local-conv"]

[[groups]]
name = "relu"
title = "Nets with ReLU"
priority = 2
seeds = [0]
together = ["family"]
[groups.factors]
relu = [true]
family = ["local-conv", "local-conv-same"]

[[contrasts]]
name = "shared"
title = "Padding"
left = { family = "local-conv" }
right = { family = "local-conv-same" }
expect = "greater"

[[claims]]
name = "padding"
sentence = "Padding matters."
source = "nowhere"
contrasts = ["shared"]
"""
BLOCKS = ("local-conv-lr0.01-e2-seed0", "local-conv-lr0.01-e2-seed1", "relu-relu-lr0.01-e2-seed0")


def make(folder: Path) -> Path:
    """Write images and a registry with the study `tiny`; return the registry."""
    rng = np.random.default_rng(0)
    for split, count in (("train", TRAIN), ("test", TEST)):
        labels = rng.integers(0, 10, count)
        pixels = rng.integers(0, 128, (count, 28, 28), dtype=np.uint8)
        for image, label in zip(pixels, labels, strict=True):
            image[2 * label : 2 * label + 4] += 100  # a bright bar that says the class
        write_idx(folder / "data", pixels, labels, split)
    made = without_fingerprints(folder / "registry", "fashionmnist", TRAIN, TEST)
    if (made / "studies").is_symlink():
        (made / "studies").unlink()
    (made / "studies").mkdir()
    (made / "studies" / "tiny.toml").write_text(TINY)
    return made


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the tiny study, whose registry is the one in use."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_REGISTRY", str(make(folder)))
        registry.forget()
        yield folder
    registry.forget()


def asked(folder: Path, output: str, cells: Sequence[str] = (), **options: object) -> StudyRun:
    """What is asked for in a folder of the tiny study."""
    return StudyRun(
        study="tiny",
        cells=tuple(cells),
        source=Source(data_dir=str(folder / "data")),
        output=str(folder / output),
        submissions=None,
        threads=1,
        **options,  # type: ignore[arg-type]
    )


KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import tiny_study
from bench.studies import run
class Stalls(run.Progress):
    def through(self, doing, share):
        if doing.startswith(sys.argv[4]) and share >= float(sys.argv[5]):
            print("stalled", flush=True)
            time.sleep(600)
run.run(tiny_study.asked(Path(sys.argv[2]), sys.argv[3]), Stalls(), tiny_study.QUICK)
"""


def start_and_stall(folder: Path, output: str, doing: str, share: float) -> subprocess.Popen[str]:
    """Start a run in a process of its own that stops where it has something to do."""
    tests = str(Path(__file__).parent)
    script = [sys.executable, "-c", KILLED, tests, str(folder), output, doing, str(share)]
    return subprocess.Popen(script, stdout=subprocess.PIPE, text=True)
