"""Entries, weights files and their metadata, changed at random but reproducibly."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path

import torch
from safetensors.torch import save

from bench.entries import registry
from bench.entries.dataset import DatasetEntry
from bench.entries.model import ModelEntry
from bench.entries.protocol import Protocol
from bench.entries.read import read_entry
from bench.errors import BenchError
from bench.models.checkpoint import read_checkpoint
from bench.models.weights import load_weights

ROOT = registry.registry_dir()
ENTRIES = [
    (ROOT / "models/fashionmnist/fashionmnist-local-conv-relu.toml", ModelEntry),
    (ROOT / "models/imagenet/resnet50d.toml", ModelEntry),
    (ROOT / "datasets/cifar10.toml", DatasetEntry),
    (ROOT / "datasets/fashionmnist.toml", DatasetEntry),
    (ROOT / "protocols/caro2024.toml", Protocol),
]
VALUES = [
    "[" * 3000, "{a=" * 3000, "9" * 5000, "-" + "9" * 400, "1e999", "nan", "inf",
    "''", '"\\u001b[31m"',
    "1979-05-27T07:32:00Z", "[]", "{}", "[[1],[2]]", "true", "0x" + "f" * 4000, "0.1", "-1",
    '"' + "x" * 5000 + '"', '"../../etc/passwd"', '"/dev/zero"', '"\\u202e"', '"(((((("',
    "'''\n'''",
    "99999999999999999999", '"a:b:c"', ".".join("a" * 500) + " = 1",
]  # fmt: skip
JUNK = [
    b"\0",
    b"\xff\xfe",
    b"[",
    b"]",
    b'"',
    b"\n",
    b"= ",
    b"#",
    b"\x1b[31m",
    b"\\u",
    b"{",
    b"9" * 5000,
]


def net() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))


STATE = net().state_dict()


def torch_bytes(content: object) -> bytes:
    data = io.BytesIO()
    torch.save(content, data)
    return data.getvalue()


WEIGHTS = [
    save(STATE, metadata={"bench": json.dumps({"seed": 3, "train_count": 60000, "rows": [1, 2]})}),
    torch_bytes({"state_dict": STATE, "epoch": 3}),
    torch_bytes(STATE),
]


def changed_bytes(data: bytes, rng: random.Random) -> bytes:
    """Return bytes with a few of them changed, cut, doubled or put in."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        # the beginning decides most
        end = len(out) if rng.random() < 0.5 else min(len(out), 400)
        at, how = rng.randrange(max(end, 1)), rng.randrange(6)
        if how == 0 and out:
            out[at % len(out)] = rng.randrange(256)
        elif how == 1:
            del out[at : at + rng.randint(1, 40)]
        elif how == 2:
            out[at:at] = out[at : at + rng.randint(1, 200)]
        elif how == 3:
            out[at:at] = rng.choice(JUNK)
        elif how == 4:
            del out[at:]
        elif out:
            out[at % len(out)] ^= 1 << rng.randrange(8)
    return bytes(out)


def changed_toml(text: str, rng: random.Random) -> bytes:
    """Return TOML with values exchanged, lines moved or bytes changed."""
    lines = text.splitlines()
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(lines))
        how = rng.randrange(4)
        if how == 0 and "=" in lines[at]:
            lines[at] = f"{lines[at].partition('=')[0]}= {rng.choice(VALUES)}"
        elif how == 1:
            lines.insert(
                at, f"{rng.choice(['x', 'name', 'a.b', '[x]', '[[x]]'])} = {rng.choice(VALUES)}"
            )
        elif how == 2:
            lines[at], lines[-1] = lines[-1], lines[at]
        else:
            del lines[at]
    data = "\n".join(lines).encode()
    return changed_bytes(data, rng) if rng.random() < 0.3 else data


def changed_metadata(rng: random.Random) -> bytes:
    """Return a safetensors file whose metadata or header says something else."""
    text = json.dumps({"seed": 3, "train_count": 60000})
    odd = [
        "[" * rng.randint(1, 30_000), "[1]", "7", '"x"', "null", "{}", '{"seed": [1]}', "9" * 5000,
        '{"seed": 1e400}', '{"seed": NaN}',
        changed_bytes(text.encode(), rng).decode("utf-8", "replace"),
    ]  # fmt: skip
    return save(STATE, metadata={"bench": rng.choice(odd), "format": rng.choice(odd)})


def try_mutant(number: int, folder: Path) -> str:
    """Make a mutant and give it to its reader.

    Returns:
        "taken" or "refused".

    Raises:
        AssertionError: anything but a result or one clear line.
    """
    rng = random.Random(number)
    kind = number % 4
    path = folder / "mutant"
    try:
        if kind < 2:
            source, entry = rng.choice(ENTRIES)
            path = folder / source.name
            path.write_bytes(changed_toml(source.read_text(), rng))
            read_entry(path, entry)
        else:
            data = changed_metadata(rng) if kind == 3 else changed_bytes(rng.choice(WEIGHTS), rng)
            path.write_bytes(data)
            module = net()
            load_weights(module, read_checkpoint(path).tensors, "the file")
    except BenchError as error:
        line = str(error)
        assert "\n" not in line, f"mutant {number}: {line!r}"
        assert "\x1b" not in line, f"mutant {number}: {line!r}"
        assert len(line) < 2000, f"mutant {number}: {len(line)} characters"
        return "refused"
    except Exception as error:
        raise AssertionError(
            f"mutant {number}: {type(error).__name__}: {str(error)[:300]}"
        ) from error
    return "taken"
