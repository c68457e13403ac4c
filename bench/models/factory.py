"""Models that an entry's own code makes: nothing is taken for granted of them."""

from __future__ import annotations

import contextlib
import importlib
import random
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from bench.errors import BenchError
from bench.models.identity import probe_images
from bench.models.wrappers import OnClones


def from_factory(factory: str, trust: bool, seed: int) -> nn.Module:
    """Return what a function makes.

    Args:
        factory: "package.module:function"; the function takes no arguments.
        trust: the user allows to run it.
        seed: of the random numbers of torch, NumPy and Python while it runs.

    Raises:
        BenchError: not trusted, not to be imported, it fails, or it gives no module.
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
    except Exception as error:
        raise _failed(factory, error) from error
    with _seeded(seed):
        try:
            made = make()
        except BenchError:
            raise
        except Exception as error:  # whatever its author's code raises
            raise _failed(factory, error) from error
    if not isinstance(made, nn.Module):
        raise BenchError(f"expected {factory!r} to return an nn.Module, got {type(made).__name__}")
    return made


def _failed(factory: str, error: Exception) -> BenchError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return BenchError(
        f"expected the factory {factory!r} to make a model, got {type(error).__name__}: {reason}; "
        "put its code right"
    )


def check_random(made: nn.Module, factory: str, seed: int, shape: tuple[int, int, int]) -> None:
    """Raise BenchError unless a factory's weights are random: others for another seed.

    A tensor of constants (zeros, ones) may be alike, and so may what is not trained.

    Args:
        made: what the factory made with `seed`.
        factory: the function.
        seed: of `made`.
        shape: (C, H, W) of the model's input.

    Raises:
        BenchError: it has the same weights, some or all, whatever the seed.
    """
    other = from_factory(factory, True, seed + 1)
    there = _trained(other)
    for name, tensor in _trained(made).items():
        twin = there.get(name)
        varied = tensor.numel() > 1 and bool((tensor != tensor.flatten()[0]).any())
        if varied and twin is not None and torch.equal(tensor, twin):
            raise _not_random(factory, f"the same values in {name!r}")
    if _same_logits(made, other, probe_images(shape)):
        raise _not_random(factory, "the same logits")


def _same_logits(made: nn.Module, other: nn.Module, images: Tensor) -> bool:
    """Whether two models compute the same, which is not the same for all images."""
    try:
        with torch.no_grad():
            one, two = (OnClones(model.eval())(images) for model in (made, other))
        varied = bool((one != one[0]).any())
        return varied and one.shape == two.shape and torch.allclose(one, two, rtol=1e-6, atol=0)
    except Exception:  # the model's own probe tells of it
        return False


def _trained(module: nn.Module) -> dict[str, Tensor]:
    """Return what training changes: parameters, and the statistics of batch norms."""
    parameters = dict(module.named_parameters())
    wanted = {k: p.detach() for k, p in parameters.items() if p.requires_grad} or {
        k: p.detach() for k, p in parameters.items()
    }
    statistics = ("running_mean", "running_var")
    return wanted | {k: b for k, b in module.named_buffers() if k.endswith(statistics)}


def _not_random(factory: str, what: str) -> BenchError:
    return BenchError(
        f"expected other weights for another seed from {factory!r} (--weights random), got {what}; "
        "it loads weights or seeds them itself, so this would be no untrained control: give the "
        "entry a factory that only builds the model"
    )


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the usual generators for the time of a block, and put them back."""
    python, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy_state)  # noqa: NPY002
