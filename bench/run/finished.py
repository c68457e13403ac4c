"""Whether a model's result needs no help, found out without opening the model."""

from __future__ import annotations

from pathlib import Path

from bench.entries import registry
from bench.errors import BenchError
from bench.results.address import Address, ModelName
from bench.results.filesystem import files_at
from bench.results.store import Store
from bench.run.request import Request


def finished(request: Request) -> bool:
    """Return whether a result is complete and nobody is at work on it, as far as its file says.

    For processes of a crowd that come to another one's model: who began there has looked at the
    model itself. False where it can't be told so cheaply, as for samples or another seed.
    """
    data, what = request.data, request.what
    whole = data.limit is None and data.source is None and what.seed is None and not what.attacks
    if not whole or what.weights not in ("default", "random") or request.where.overwrite:
        return False
    if request.how.save_perturbations or Path(what.model).suffix == ".toml":
        return False
    try:
        entry, protocol = registry.model(what.model), registry.protocol(what.protocol)
        base, _, _ = entry.name.partition("@")
        name = str(ModelName(base, True)) if what.weights == "random" else entry.name
        files = files_at(request.where.output)
        address = Address(protocol.name, entry.dataset, name)
        found = Store(files, address).metadata()
    except BenchError:
        return False
    return (
        found is not None
        and found.get("complete") is True
        and found.get("protocol_hash") == protocol.hash(entry.dataset)
        and not files.keys(address.blocks)
    )
