"""What the user asked for, and what each part of it chooses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from bench.data.base import Images, positions_of
from bench.entries.dataset import DatasetEntry
from bench.entries.model import ModelEntry
from bench.entries.protocol import Protocol
from bench.errors import BenchError, unknown_name


@dataclass(frozen=True)
class Request:
    """What the user asked for; the options of `bench eval`."""

    model: str
    dataset: str | None = None
    weights: str | Path = "default"
    trust: bool = False
    attacks: tuple[str, ...] = ()
    protocol: str = "caro2024"
    data: str | None = None
    data_dir: Path | None = None
    limit: int | None = None
    batch_size: int | None = None
    device: str = "auto"
    seed: int | None = None
    output: Path = Path("results")
    overwrite: bool = False
    save_perturbations: bool = False
    offline: bool = False


def model_entry(request: Request) -> ModelEntry:
    """Return the request's entry; a timm name without an entry gets timm's full tag.

    Raises:
        BenchError: unknown model, or a data set that is not like the entry's.
    """
    from bench.models.choose import choose_model

    return choose_model(request.model, request.dataset)


def choose_attacks(names: Sequence[str], protocol: Protocol) -> tuple[str, ...]:
    """Return the chosen attacks in the protocol's order; all of them for none.

    Raises:
        BenchError: an attack that the protocol does not have.
    """
    for name in names:
        if name not in protocol.attacks:
            raise unknown_name("attack", name, [*protocol.attacks, "clean"])
    return tuple(name for name in protocol.attacks if not names or name in names)


def choose_device(name: str) -> torch.device:
    """Return the device of `--device auto|cpu|cuda[:i]`.

    Raises:
        BenchError: not such a name, or a GPU that is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdigit()):
        raise BenchError(f"expected --device auto, cpu, cuda or cuda:<i>, got {name!r}")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise BenchError(
            f"expected a GPU for --device {name}, found {torch.cuda.device_count()}; "
            "use --device cpu"
        )
    return torch.device(name)


def choose_ids(
    request: Request,
    protocol: Protocol,
    dataset: DatasetEntry,
    images: Images,
    whole_split: bool = False,
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[str, ...]]:
    """Return the start pool's ids, the ids to measure, and why the result is partial."""
    reasons: tuple[str, ...] = ()
    pool = protocol.sample_ids(dataset.name)
    if request.data == "samples":
        pool = tuple(int(i) for i in images.ids)
        reasons = (f"foolbox's {len(pool)} sample images",)
    elif whole_split:
        pool = tuple(int(i) for i in images.ids)
        if len(pool) < dataset.test_count:
            reasons = (f"{len(pool)} of {dataset.test_count} test images",)
    ids = pool
    if request.limit is not None and request.limit < len(pool):
        ids = pool[: request.limit]
        reasons = (*reasons, f"first {len(ids)} of {len(pool)} samples")
    positions_of(images, pool)
    return pool, ids, reasons


def check_numbers(request: Request) -> None:
    """Raise BenchError for numbers that make no sense."""
    for name, value in (("--limit", request.limit), ("--batch-size", request.batch_size)):
        if value is not None and value < 1:
            raise BenchError(f"expected {name} of at least 1, got {value}")
    if request.seed is not None and request.seed < 0:
        raise BenchError(f"expected --seed of at least 0, got {request.seed}")
    if "://" in str(request.output):
        raise BenchError(f"expected a local folder for --output, got {str(request.output)!r}")
