"""Time and memory of the ImageNet models, through the real command line, with few steps.

    python tests/benchmarks/imagenet.py                          # the registry's twelve
    python tests/benchmarks/imagenet.py --model swin_tiny_patch4_window7_224.ms_in1k --steps 5

Each model runs twice, each time in a process of its own, all five attacks on two of foolbox's
ImageNet samples:

    random   bench eval --weights random --data samples --limit 2. Untrained weights classify
             these images wrongly (many are constant functions), so that nothing is attacked.
    lively   bench eval --weights FILE --data-dir TREE --limit 2: random weights whose batch norms
             and read-out are standardised on the samples, and images labelled as this model
             classifies them, so that every attack has something to do.

Peak memory is the resident memory of the `bench` process and what it started. Each run is
appended to `--results` when it ends; runs that are there are not repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tabulate import tabulate

from bench.data.load import load_images
from bench.entries import registry
from bench.entries.dataset import DatasetEntry
from bench.entries.model import ModelEntry

PROTOCOL = "short"
SAMPLES = 20
LIMIT = 2


def short_registry(folder: Path, steps: int) -> Path:
    """Make a registry like the one in use, with the protocol `short` of a few steps."""
    source = registry.registry_dir()
    for place in source.iterdir():
        if place.name != "protocols":
            (folder / place.name).symlink_to(place)
    (folder / "protocols").mkdir()
    lines = (source / "protocols" / "caro2024.toml").read_text().splitlines()
    kept: list[str] = []
    for line in lines:
        if line.startswith("name = "):
            line = f'name = "{PROTOCOL}"'
        elif line.startswith("steps = "):
            line = f"steps = {steps}"
        elif line.startswith("count = "):
            line = f"count = {SAMPLES}"
        kept += [] if line.startswith("file = ") else [line.replace('"list"', '"first"')]
    (folder / "protocols" / f"{PROTOCOL}.toml").write_text("\n".join(kept))
    return folder


def entry_of(name: str) -> ModelEntry:
    """Return the entry of a name of the registry or of timm."""
    from bench.run.choose import model_entry
    from bench.run.request import Request

    return model_entry(Request.of(model=name))


# ---------------------------------------------------------------- lively weights


def enliven(name: str, weights: Path, tree: Path) -> None:
    """Write seeded weights under which the samples get different classes, and a labelled tree.

    Args:
        name: the model.
        weights: safetensors file to write.
        tree: folder to write `val/<class>/ILSVRC2012_val_<number>.png` to.
    """
    import torch

    from bench.data.base import load_batch
    from bench.models.checkpoint import write_checkpoint
    from bench.models.load import load
    from bench.models.wrappers import OnUnitImages

    dataset = registry.dataset("imagenet")
    images = load_images(dataset, "test", data="samples", registry_dir=registry.registry_dir())
    loaded = load(entry_of(name), "random", torch.device("cpu"))
    assert isinstance(loaded.module, OnUnitImages), "timm models come with their normalisation"
    model = loaded.module.model
    batch = load_batch(images, range(SAMPLES), loaded.transform)
    with torch.no_grad():
        _standardise(loaded.module, model, batch)
        classes = torch.cat([loaded.module(one[None]) for one in batch]).argmax(1).tolist()
    if len(set(classes)) == 1:
        raise SystemExit(f"{name}: one class for all {SAMPLES} samples, nothing to attack")
    write_checkpoint(weights, model.state_dict(), {})
    _write_tree(tree, images, classes, dataset)


def _standardise(whole: Any, model: Any, batch: Any) -> None:
    """Give batch norms the samples' statistics and each logit zero mean and unit spread."""
    import torch
    from torch import nn

    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.train()
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
    if norms:
        for part in batch.split(4):
            whole(part)
    model.eval()
    readout = model.get_classifier()
    if not readout.weight.any():
        generator = torch.Generator().manual_seed(0)
        readout.weight.copy_(torch.randn(readout.weight.shape, generator=generator))
    logits = torch.cat([whole(one[None]) for one in batch])
    spread = logits.std(0).clamp_min(1e-12)
    shape = (-1, *[1] * (readout.weight.ndim - 1))
    readout.weight.div_(spread.reshape(shape))
    readout.bias.copy_((readout.bias - logits.mean(0)) / spread)


def _write_tree(tree: Path, images: Any, classes: list[int], dataset: DatasetEntry) -> None:
    import PIL.Image

    assert dataset.class_folders is not None, "ImageNet's classes have folders"
    for position, label in enumerate(classes):
        folder = tree / "val" / dataset.class_folders[label]
        folder.mkdir(parents=True, exist_ok=True)
        image = PIL.Image.fromarray(images.decode(position))
        image.save(folder / f"ILSVRC2012_val_{position + 1:08d}.png", compress_level=1)


# ---------------------------------------------------------------- runs


def timed(command: list[str], environment: dict[str, str]) -> dict[str, Any]:
    """Run a command and return its exit code, seconds, CPU seconds, peak GiB and last words."""
    begin = time.perf_counter()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, env=environment, stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        words = said.read()
    return {
        "rc": process.returncode,
        "seconds": round(time.perf_counter() - begin, 1),
        "cpu": round(used.ru_utime + used.ru_stime, 1),
        "gib": round(used.ru_maxrss / 2**20, 2),
        "said": words[-600:] if process.returncode else "",
    }


def one_run(name: str, kind: str, steps: int, folder: Path) -> dict[str, Any]:
    """Evaluate one model in a process of its own and return what came of it."""
    environment = {**os.environ, "BENCH_REGISTRY": str(folder / "registry")}
    (folder / "registry").mkdir()
    short_registry(folder / "registry", steps)
    found = {"model": name, "run": kind, "steps": steps}
    command = [
        sys.executable, "-m", "bench", "eval", "--model", name, "--protocol", PROTOCOL,
        "--limit", str(LIMIT), "--output", str(folder / "out"), "--device", "cpu",
    ]  # fmt: skip
    if kind == "random":
        command += ["--weights", "random", "--data", "samples"]
    else:
        weights, tree = folder / "lively.safetensors", folder / "tree"
        again = [sys.executable, __file__, "--enliven", name, str(weights), str(tree)]
        made = timed(again, environment)
        if made["rc"]:
            return found | made
        command += ["--weights", str(weights), "--data-dir", str(tree)]
    found |= timed(command, environment)
    files = [p for p in (folder / "out").rglob("*.parquet") if ".extras" not in p.name]
    return found | (_rows(files[0]) if found["rc"] == 0 else {})


def _rows(path: Path) -> dict[str, Any]:
    from bench.results.store import read_metadata, read_rows

    metadata = read_metadata(path)
    table = read_rows(path, ["attack", "status", "rfc"])
    status = Counter(str(value) for value in table["status"].to_pylist())
    return {
        "input": "x".join(str(side) for side in metadata["input_shape"]),
        "params": round(metadata["n_params"] / 1e6, 1),
        "batch": metadata["batch_size"],
        "rows": len(table),
        "attacks": len(set(table["attack"].to_pylist())),
        "status": " ".join(f"{name} {count}" for name, count in sorted(status.items())),
    }


def show(runs: list[dict[str, Any]]) -> str:
    """Return the table of all runs."""
    names = ("model", "run", "input", "params", "batch", "steps", "attacks", "rows", "status",
             "seconds", "cpu", "gib")  # fmt: skip
    failed = [f"{r['model']} ({r['run']}): exit {r['rc']}: {r['said']}" for r in runs if r["rc"]]
    lines = [[run.get(name, "-") for name in names] for run in runs]
    return "\n".join([tabulate(lines, headers=names), *failed])


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", nargs="+", default=None)
    parser.add_argument("--run", nargs="+", default=["random", "lively"])
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--results", type=Path, default=Path("results/benchmarks/imagenet.jsonl"))
    parser.add_argument("--enliven", nargs=3, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.enliven:
        name, weights, tree = options.enliven
        return enliven(name, Path(weights), Path(tree))
    entries = map(registry.model, registry.model_names())
    models = options.model or [e.name for e in entries if e.dataset == "imagenet"]
    options.results.parent.mkdir(parents=True, exist_ok=True)
    done = options.results.read_text().splitlines() if options.results.exists() else []
    runs = [json.loads(line) for line in done]
    for name in models:
        for kind in options.run:
            wanted = {"model": name, "run": kind, "steps": options.steps}
            if any(wanted.items() <= run.items() for run in runs):
                continue
            with tempfile.TemporaryDirectory() as folder:
                runs.append(one_run(name, kind, options.steps, Path(folder)))
            with options.results.open("a") as file:
                file.write(json.dumps(runs[-1]) + "\n")
            print(show(runs[-1:]), flush=True)
    print(show([run for run in runs if run["model"] in models]))
    return None


if __name__ == "__main__":
    main()
