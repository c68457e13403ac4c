"""What each part of a request chooses: entry, attacks, device, samples."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.data.base import Images, positions_of
from bench.entries import registry
from bench.entries.dataset import DatasetEntry
from bench.entries.model import ModelEntry
from bench.entries.protocol import Protocol
from bench.errors import BenchError, BenchWarning, unknown_name
from bench.models.choose import choose_model
from bench.run.request import Request

if TYPE_CHECKING:
    import torch


def model_entry(request: Request) -> ModelEntry:
    """Return the request's entry; a timm name without an entry gets timm's full tag.

    Raises:
        BenchError: unknown model, or a data set that is not like the entry's.
    """
    return choose_model(request.what.model, request.data.dataset)


def choose_attacks(
    names: Sequence[str], protocol: Protocol, lean: bool = False, affine: bool = False
) -> tuple[str, ...]:
    """Return the chosen attacks and witnesses in the protocol's order.

    Args:
        names: what was asked for; none: all of the protocol, and the witnesses that apply. An
            affine model's exact minimum makes other witnesses needless.
        protocol: of the run.
        lean: further training seeds and untrained twins, of which a protocol with witnesses needs
            the primary attack alone.
        affine: whether the model is an affine map.

    Raises:
        BenchError: an attack that the protocol does not have.
    """
    everything = {**protocol.attacks, **protocol.witnesses}
    for name in names:
        if name not in everything:
            raise _unknown_attack(name, protocol)
    if names:
        return tuple(name for name in everything if name in names)
    needed = (protocol.primary_attack,) if lean and protocol.witnesses else tuple(protocol.attacks)
    norms = {protocol.attacks[name].norm for name in needed}
    return needed + tuple(
        name
        for name, witness in protocol.witnesses.items()
        if witness.affine_only == affine and witness.norm in norms
    )


def _unknown_attack(name: str, protocol: Protocol) -> BenchError:
    """Return the error for an attack that the protocol lacks; another protocol may have it."""
    for other in registry.protocol_names():
        if other != protocol.name and name in registry.protocol(other).attacks:
            return BenchError(
                f"expected an attack of protocol {protocol.name}, got {name}, which is one of "
                f"{other}; add --protocol {other}"
            )
    return unknown_name("attack", name, [*protocol.attacks, *protocol.witnesses, "clean"])


def choose_device(name: str) -> torch.device:
    """Return the device of `--device auto|cpu|cuda[:i]`.

    Raises:
        BenchError: not such a name, or a GPU that is not there.
    """
    kind, index = spelt_device(name)
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise BenchError(
            f"expected a GPU for --device {name}, found {torch.cuda.device_count()}; "
            "use --device cpu"
        )
    return torch.device(name)


def spelt_device(name: str) -> tuple[str, str]:
    """Return kind and index of `auto|cpu|cuda[:i]`. Raises BenchError for another spelling."""
    kind, _, index = name.partition(":")
    wrong = kind not in ("auto", "cpu", "cuda") or (index and kind == "auto")
    if wrong or (index and not index.isdigit()):
        raise BenchError(f"expected --device auto, cpu, cuda or cuda:<i>, got {name!r}")
    return kind, index


def choose_ids(
    request: Request,
    protocol: Protocol,
    dataset: DatasetEntry,
    images: Images,
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[str, ...]]:
    """Return the start pool's ids, the ids to measure, and why the result is partial."""
    reasons: tuple[str, ...] = ()
    pool = protocol.sample_ids(dataset.name)
    if request.data.source == "samples":
        pool = tuple(int(i) for i in images.ids)
        reasons = (f"foolbox's {len(pool)} sample images",)
    elif request.clean:
        pool = tuple(int(i) for i in images.ids)
        if len(pool) < dataset.test_count:
            reasons = (f"{len(pool)} of {dataset.test_count} test images",)
    ids, limit, seed = pool, request.data.limit, request.what.seed
    if limit is not None and limit < len(pool):
        ids = pool[:limit]
        reasons = (*reasons, f"first {len(ids)} of {len(pool)} samples")
    elif limit is not None and limit > len(pool):
        text = f"--limit {limit} is more than the {len(pool)} samples that there are: all are taken"
        warnings.warn(text, BenchWarning, stacklevel=2)
    if seed is not None and seed != protocol.seed:
        reasons = (*reasons, f"seed {seed} is not the protocol's {protocol.seed}")
    positions_of(images, pool)
    return pool, ids, reasons
