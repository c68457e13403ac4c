"""What this machine has and lacks for a run: looked at, measured, and the command that helps."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from bench.data.hub.fetch import cached
from bench.data.hub.hub_cache import read_cached
from bench.entries import registry
from bench.entries.dataset import DatasetEntry
from bench.entries.model import ModelEntry
from bench.errors import BenchError
from bench.models.choose import choose_model
from bench.results.filesystem import files_at, url_of
from bench.results.provenance import versions
from bench.run.choose import choose_device
from bench.run.cost import cost_of
from bench.run.download import images_wanted, weights_file, weights_wanted
from bench.run.request import Request

SECONDS = 1.0
"""Of measuring the device."""
SIDE = 1024
"""Of the matrices that are multiplied for it."""


@dataclass(frozen=True)
class Line:
    """One finding.

    Attributes:
        topic: "versions", "device", "data", "weights", "writing", "engines", "job" or "time".
        text: what was found.
        fine: whether it is as it should be; None: neither good nor bad.
        remedy: what to do; empty where nothing is needed.
    """

    topic: str
    text: str
    fine: bool | None = None
    remedy: str = ""


def examine(model: str, output: str = "results", device: str = "auto") -> Iterator[Line]:
    """Yield what is found; the topic "job" says whether a model can be evaluated now.

    Nothing is downloaded and nothing is left in the folder of results.

    Args:
        model: whose evaluation is the main job.
        output: where its results would go.
        device: as for `bench eval`.

    Raises:
        BenchError: no such model, or no such device.
    """
    entry = choose_model(model, None)
    where = choose_device(device)
    yield _versions()
    yield _device(where)
    for name in registry.dataset_names():
        yield _images(registry.dataset(name))
    yield from _all_weights(output)
    writing = _writing(output)
    yield writing
    yield from _engines()
    own = (_images(registry.dataset(entry.dataset)), _weights(entry, output), writing)
    yield _job(entry, [line for line in own if not line.fine])
    yield _time(entry, output, device)


def _versions() -> Line:
    found = {"python": platform.python_version(), **versions()}
    return Line("versions", ", ".join(f"{name} {value}" for name, value in found.items()))


def _device(device: torch.device) -> Line:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    threads = "" if device.type == "cuda" else f", {torch.get_num_threads()} threads"
    return Line("device", f"{device}: {name}{threads}, {_gflops(device):.0f} GFLOP/s in float32")


def _gflops(device: torch.device) -> float:
    """Return the speed of matrix products, 10^9 operations a second, measured for a second."""
    a = torch.rand((SIDE, SIDE), device=device)
    _product(a)
    begun, count = time.perf_counter(), 0
    while (passed := time.perf_counter() - begun) < SECONDS:
        _product(a)
        count += 1
    return count * 2 * SIDE**3 / passed / 1e9


def _product(a: torch.Tensor) -> None:
    a @ a
    if a.is_cuda:
        torch.cuda.synchronize(a.device)


def _images(entry: DatasetEntry) -> Line:
    """Say where a data set's test images are, as `bench eval` looks for them."""
    try:
        if entry.hub is not None and read_cached(entry, "test") is not None:
            return Line("data", f"{entry.name}: in the hub's cache", True)
    except BenchError as error:
        return Line("data", f"{entry.name}: {error}", False, f"bench download -d {entry.name}")
    if entry.embedded is not None:
        return Line("data", f"{entry.name}: embedded, the protocol's images", True)
    if images_wanted(entry) is not None:
        remedy = f"bench download -d {entry.name}, or --data-dir with a copy"
    else:
        remedy = f"--data-dir with a copy of {entry.homepage}"
    return Line("data", f"{entry.name}: not here", False, remedy)


def _weights(entry: ModelEntry, output: str) -> Line:
    """Say whether a model's weights are here; they are not read."""
    wanted = weights_wanted(entry)
    if wanted is not None:
        if cached(wanted):
            return Line("weights", f"{entry.name}: in the hub's cache", True)
        remedy = f"bench download -m {entry.name}"
        return Line("weights", f"{entry.name}: not here", False, remedy)
    try:
        path, _ = weights_file(entry, str(_local(output)))
    except BenchError as error:
        if entry.source == "factory":
            return Line("weights", f"{entry.name}: its factory makes or names them", True)
        return Line("weights", f"{entry.name}: not here", False, str(error).partition("; ")[2])
    return Line("weights", f"{entry.name}: {path.name}", True)


def _all_weights(output: str) -> list[Line]:
    """One line for the models of each data set, with what gets the missing ones."""
    lines = []
    for name in registry.dataset_names():
        entries = [e for e in registry.select_models(["*"], None) if e.dataset == name]
        found = [_weights(entry, output) for entry in entries]
        here = sum(bool(line.fine) for line in found)
        remedy = ""
        if here < len(found):
            nets = all(entry.source == "net" for entry in entries)
            remedy = f"bench {'train' if nets else 'download'} -m '{_pattern(entries)}'"
        if found:
            text = f"{name}: {here} of {len(found)} models"
            lines.append(Line("weights", text, here == len(found), remedy))
    return lines


def _pattern(entries: list[ModelEntry]) -> str:
    head = f"{entries[0].dataset}-"
    return f"{head}*" if all(e.name.startswith(head) for e in entries) else entries[0].name


def _writing(output: str) -> Line:
    there = url_of(output) is not None or Path(output).exists()
    try:
        files_at(output).prepare()
    except BenchError as error:
        return Line("writing", str(error), False, "choose another --output")
    if not there:
        Path(output).rmdir()  # it was made to see whether it can be
    return Line("writing", f"{output} can be written", True)


def _engines() -> list[Line]:
    have = {
        "several processes here": (True, ""),
        "s3:// and other stores": (_module("s3fs"), "pip install 'frequency-bench[s3]'"),
    }
    slurm = shutil.which("sbatch") is not None
    text = "SLURM is here" if slurm else "no SLURM here"
    lines = [
        Line("engines", f"{name}: {'yes' if yes else 'no'}", True if yes else None, how)
        for name, (yes, how) in have.items()
    ]
    return [*lines, Line("engines", text), Line("engines", _ray())]


def _ray() -> str:
    return "Ray is installed" if _module("ray") else "Ray is not installed"


def _module(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _job(entry: ModelEntry, lacks: list[Line]) -> Line:
    if not lacks:
        return Line("job", f"bench eval --model {entry.name} can run", True)
    why = "; ".join(line.text for line in lacks)
    remedy = "; ".join(line.remedy for line in lacks if line.remedy)
    return Line("job", f"bench eval --model {entry.name} can't run: {why}", False, remedy)


def _time(entry: ModelEntry, output: str, device: str) -> Line:
    request = Request.of(model=entry.name, output=output, device=device)
    try:
        cost = cost_of(request)
    except BenchError as error:
        return Line("time", f"{entry.name}: {error}")
    low, mid, high = (seconds / 3600 for seconds in cost.seconds)
    span = "" if low == high else f" ({low:.3g} to {high:.3g})"
    return Line("time", f"{entry.name}: about {mid:.3g} hours here{span}; timed: {cost.timed}")


def _local(output: str) -> Path:
    return Path("results" if url_of(output) is not None else output)
