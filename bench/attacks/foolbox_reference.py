"""foolbox's own attacks, `implementation = "foolbox"`: the reference for this project's.

Source: https://github.com/bethgelab/foolbox (Rauber et al. 2020, JOSS 5(53):2607).
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from bench.attacks.brendel_bethge.settings import BrendelBethge
from bench.attacks.pgd import PGD
from bench.errors import BenchError

_PGD = {"linf": "LinfPGD", "l2": "L2PGD", "l1": "L1PGD"}
_BRENDEL_BETHGE = {"linf": "LinfinityBrendelBethgeAttack", "l2": "L2BrendelBethgeAttack"}


def pgd(settings: PGD, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return what foolbox's projected gradient descent finds, (B, C, H, W)."""
    dims = images[0].numel()
    relative = settings.step_scale == "relative"
    scale = "rel_stepsize" if relative else "abs_stepsize"
    attack = getattr(imported().attacks, _PGD[settings.norm])(
        **{scale: settings.step_size if relative else settings.step(dims)},
        steps=settings.steps,
        random_start=settings.random_start,
    )
    _, clipped, _ = attack(wrapped(model, images), images, labels, epsilons=settings.budget(dims))
    return torch.as_tensor(clipped)


def brendel_bethge(
    settings: BrendelBethge, model: nn.Module, images: Tensor, labels: Tensor, starts: Tensor
) -> Tensor:
    """Return what foolbox's Brendel-Bethge attack finds, (B, C, H, W).

    foolbox's trust region is lr * (number of values in the whole batch), so the rate is rescaled
    to give the radius that a batch of `nominal_batch` would have.

    Raises:
        BenchError: numba is not installed.
    """
    result = images.clone()
    todo = _adversarial(model, starts, labels)
    # foolbox asserts that every start of the batch is adversarial, and a smaller batch may
    # be predicted differently in the last bit
    while todo.any():
        still = _adversarial(model, starts[todo], labels[todo])
        if bool(still.all()):
            result[todo] = _walk(settings, model, images[todo], labels[todo], starts[todo])
            break
        todo[todo.clone()] = still
    return result


def _walk(
    settings: BrendelBethge, model: nn.Module, images: Tensor, labels: Tensor, starts: Tensor
) -> Tensor:
    with warnings.catch_warnings():
        # foolbox announces numba's compilation; numba may be newer than it
        warnings.simplefilter("ignore")
        attack = _brendel_bethge_class(settings.norm)(
            overshoot=settings.overshoot,
            steps=settings.steps,
            lr=settings.learning_rate * settings.nominal_batch / len(images),
            lr_decay=settings.learning_rate_decay,
            lr_num_decay=settings.learning_rate_decays,
            momentum=settings.momentum,
            binary_search_steps=settings.binary_search_steps,
        )
        found = attack.run(wrapped(model, images), images, labels, starting_points=starts)
    return torch.as_tensor(found)


def _brendel_bethge_class(norm: str) -> Any:
    try:
        import numba  # noqa: F401
    except ImportError:
        raise BenchError(
            'expected numba for implementation = "foolbox" of brendel-bethge, found none; '
            "install it: pip install 'frequency-bench[foolbox]'"
        ) from None
    return getattr(imported().attacks, _BRENDEL_BETHGE[norm])


def imported() -> Any:
    """Return the module foolbox."""
    with warnings.catch_warnings():
        # foolbox 3.3.4 imports from a name that scipy deprecates
        warnings.simplefilter("ignore", DeprecationWarning)
        import foolbox
    return foolbox


def wrapped(model: nn.Module, images: Tensor) -> Any:
    """Return a model as foolbox takes it, on the device of the images."""
    return imported().PyTorchModel(model, bounds=(0, 1), device=images.device)


@torch.no_grad()
def _adversarial(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    logits: Tensor = model(images)
    return logits.argmax(1) != labels
