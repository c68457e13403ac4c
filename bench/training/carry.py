"""Carry a trained seed: its weights into `registry/checkpoints/`, its lines into the entry.

    python -m bench.training.carry results/checkpoints/fashionmnist-local-conv@seed1.safetensors

A net without nonlinearity is carried as the one affine map that it is (`weight`, `bias`: 31 kB at
28 pixels); others as they are, if they are at most 2 MiB. What is not carried is listed with the
command that trains it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch

from bench.entries import registry
from bench.entries.model import ModelEntry
from bench.errors import BenchError
from bench.files import write_bytes
from bench.models.checkpoint import read_checkpoint, write_checkpoint
from bench.models.load import load

LARGEST = 2 * 2**20
"""Bytes of a file that is carried."""
COMMAND = "bench train --model {model} --seed {seed} --until-lr 0.01"
"""What trains a seed (16 epochs)."""


def carry(path: Path, root: Path | None = None) -> str:
    """Add a trained seed to its entry; return the lines that were added.

    Args:
        path: a checkpoint that `bench train` wrote.
        root: folder of the registry; None: the present one.

    Raises:
        BenchError: not such a checkpoint, or its seed is in the entry already.
    """
    found, root = read_checkpoint(path), root or registry.registry_dir()
    model, seed = found.meta.get("model"), found.meta.get("seed")
    if not isinstance(model, str) or not isinstance(seed, int):
        raise BenchError(f"expected a checkpoint of `bench train`, found another file, in {path}")
    entry = registry.model(model)
    own = entry.weights.seed if entry.weights is not None else None
    if seed == (own or 0) or entry.seed_of(seed) is not None:
        raise BenchError(f"expected a new seed of {model}, found seed {seed}, which it has")
    target = root / "checkpoints" / f"{model}@seed{seed}.safetensors"
    sha256, carried = _write(entry, path, found.meta, target)
    lines = [
        "[[seeds]]",
        f"seed = {seed}",
        f'sha256 = "{sha256}"',
        f"test_accuracy = {round(float(found.meta['test_accuracy']), 2)}",
        f"epochs = {int(found.meta['epochs'])}",
        f'file = "checkpoints/{target.name}"'
        if carried
        else f'command = "{COMMAND.format(model=model, seed=seed)}"',
    ]
    file = root / "models" / entry.dataset / f"{model}.toml"
    text = file.read_text(encoding="utf-8").rstrip() + "\n\n" + "\n".join(lines) + "\n"
    write_bytes(file, text.encode())
    registry.forget()
    return "\n".join(lines)


def _write(entry: ModelEntry, path: Path, meta: dict[str, Any], target: Path) -> tuple[str, bool]:
    """Write what is carried; return the hash that identifies the weights, and if it is carried."""
    assert entry.net is not None, "`bench train` trains nets"
    if not entry.net.relu:
        module = load(entry, path, torch.device("cpu")).module
        state = {name.split(".")[-1]: tensor for name, tensor in module.state_dict().items()}
        return write_checkpoint(target, state, meta), True
    if path.stat().st_size <= LARGEST:
        write_bytes(target, path.read_bytes())
        return read_checkpoint(target).sha256, True
    return read_checkpoint(path).sha256, False


def main() -> None:
    """Carry the checkpoints that are named."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("checkpoints", nargs="+", type=Path)
    for path in parser.parse_args().checkpoints:
        print(f"{path.name}\n{carry(path)}\n")


if __name__ == "__main__":
    main()
