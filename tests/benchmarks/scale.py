"""The sheet on paper for 1,000 models x 50,000 images on 64 GPUs; `scale.md` is what it prints.

    python tests/benchmarks/scale.py [PASSES_PER_SECOND]

Calls on the storage are counted on runs of the real code over made-up units; passes, rows and
units follow from the protocol. The rate of a GPU is assumed, nothing is measured on one.
"""

from __future__ import annotations

import math
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from textwrap import fill
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import work_cases

from bench.entries import registry
from bench.results.filesystem import LocalFiles
from bench.results.presence import BEAT
from bench.run.cost import BYTES_PER_ROW
from bench.run.plan import block_samples

MODELS, IMAGES, GPUS = 1_000, 50_000, 64
ACCURACY = 0.8
"""Share of images that are attacked."""
BATCH = 256
PAGE = 1_000
"""Keys that S3 gives in one answer to LIST."""
REQUEST = 0.1
"""Seconds of a request, assumed."""
READS = ("keys", "open", "exists", "version")


class Counting:
    """A storage that counts what it is asked."""

    def __init__(self, folder: Path) -> None:
        self._files, self.calls, self.listed = LocalFiles(folder), Counter[str](), 0

    def __getattr__(self, name: str) -> Any:
        inner = getattr(self._files, name)

        def counted(*arguments: Any, **options: Any) -> Any:
            self.calls[name] += 1
            found = inner(*arguments, **options)
            if name == "keys":
                self.listed += len(found)
            return found

        return counted


def counted(units: int) -> tuple[dict[str, float], float]:
    """Return calls a unit of one process, and keys that a look finds, a unit that there is."""
    with tempfile.TemporaryDirectory() as folder:
        files = Counting(Path(folder))
        task = work_cases.task(files, range(units), ["pgd-l2"])  # type: ignore[arg-type]
        work_cases.work(replace(task, size=1), timing=replace(work_cases.QUICK, beat=3600.0))
        calls = {name: count / units for name, count in files.calls.items()}
        return calls, files.listed / files.calls["keys"] / units


def passes() -> int:
    """Passes of one attacked image under all attacks that rank or are shown."""
    protocol = registry.protocol("minimal2026")
    return sum(settings.passes for settings in protocol.attacks.values())


def sheet(rate: float) -> str:
    """Return the page."""
    protocol = registry.protocol("minimal2026")
    attacks, each, size = len(protocol.attacks), passes(), block_samples(BATCH)
    work = MODELS * round(IMAGES * ACCURACY) * each
    seconds = work / rate / GPUS
    units = attacks * math.ceil(IMAGES / size)
    unit_seconds = IMAGES * ACCURACY * each / rate / units
    small, (calls, keys) = counted(16)[0], counted(64)
    pages = max(1.0, units * keys / PAGE)
    lists = calls["keys"] * pages
    extra = lists - calls["keys"]
    a_second = GPUS / unit_seconds
    rows = MODELS * IMAGES * attacks
    giga = rows * BYTES_PER_ROW / 1e9
    named = ", ".join(f"{n} {small[n]:.1f} and {calls[n]:.1f}" for n in sorted(calls))
    named = fill(named, 98)
    claims = MODELS * units
    beats = GPUS * seconds / BEAT
    lines = [
        ("attacks of minimal2026, without witnesses", f"{attacks}"),
        ("passes of one attacked image", f"{each:,}"),
        (f"passes in all ({ACCURACY:.0%} of the images attacked)", f"{work:.3g}"),
        (f"days at {rate:g} passes/s a GPU", f"{seconds / 86400:.1f}"),
        (f"units of a model (blocks of {size} samples)", f"{units:,}"),
        ("units in all", f"{claims:,}"),
        ("seconds of a unit, mean", f"{unit_seconds:.0f}"),
        ("units a second, all GPUs", f"{a_second:.2f}"),
        (
            f"rows in all, and GB at {BYTES_PER_ROW} bytes",
            f"{rows:.3g}, {giga:.0f}",
        ),
        ("LIST requests a unit (mean pages of 1,000 keys)", f"{lists:.1f} ({pages:.1f})"),
        ("LIST requests a second, all GPUs", f"{a_second * lists:.1f}"),
        ("claims (conditional PUT) in all", f"{claims:,}"),
        ("heartbeats (PUT) in all", f"{beats:.3g}"),
    ]
    table = "\n".join(f"| {name} | {value} |" for name, value in lines)
    return TEXT.format(
        models=MODELS,
        images=IMAGES,
        gpus=GPUS,
        rate=rate,
        table=table,
        calls=named,
        reads=a_second * (sum(calls[name] for name in READS) + extra),
        busy=(sum(calls.values()) + extra) * REQUEST / unit_seconds,
        tail=unit_seconds,
        deltas=rows * 4 * 3 * 224 * 224 / 1e12,
        merge=units,
    )


TEXT = """# 1,000 models x 50,000 images on 64 GPUs, on paper

Made by `python tests/benchmarks/scale.py {rate:g}`, not measured: nothing of this was run on a
GPU. {rate:g} passes (forward and backward) a second is an assumption about one GPU and a model of
the size of resnet50d, and .1 s for a request another; give another rate to the script.
{models:,} models, {images:,} images, {gpus} GPUs.

| what | how much |
|---|---|
{table}

Calls on the storage a unit, counted on runs of the real code with 16 and with 64 made-up units
(one process, heart aside):
{calls}.

**The bottleneck is the GPUs**, as far as paper can tell: at .1 s a request a process spends
{busy:.1%} of its time on requests, and all processes together send {reads:.0f} reads a second,
where S3 states 5,500 GET or HEAD for one prefix. What grows is LIST, with the square of a model's
units: ten times the images of a model are a hundred times the keys that are listed.

What else would be met first:

- **The last unit.** Who finds nothing open waits for units of {tail:.0f} s on average.
- **Merging.** One process reads the {merge:,} blocks of a model and writes its file, while the
  others go on with other models.
- **Perturbations.** `--save-perturbations` would be {deltas:.0f} TB before compression.
- **Submissions.** Their size limit is for the protocol's 1,000 samples; with 50,000 these stay
  results.
"""

if __name__ == "__main__":
    sys.stdout.write(sheet(float(sys.argv[1]) if len(sys.argv) > 1 else 2_000.0))
