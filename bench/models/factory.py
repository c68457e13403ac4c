"""Models that an entry's own code makes."""

from __future__ import annotations

import importlib

import torch
from torch import nn

from bench.errors import BenchError


def from_factory(factory: str, trust: bool, seed: int) -> nn.Module:
    """Return what a function makes.

    Args:
        factory: "package.module:function"; the function takes no arguments.
        trust: the user allows to run it.
        seed: of torch's random numbers while it runs.

    Raises:
        BenchError: not trusted, not to be imported, or it gives no module.
    """
    if not trust:
        raise BenchError(
            f"the entry's factory {factory!r} runs code of its author; read it, then add --trust"
        )
    module_name, _, function = factory.partition(":")
    try:
        make = getattr(importlib.import_module(module_name), function)
    except (ImportError, AttributeError) as error:
        raise BenchError(
            f"expected the function {factory!r}, found: {error}; install the package that has it"
        ) from error
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = make()
    if not isinstance(made, nn.Module):
        raise BenchError(f"expected {factory!r} to return an nn.Module, got {type(made).__name__}")
    return made
