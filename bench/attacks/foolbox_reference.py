"""foolbox's own attacks, `implementation = "foolbox"`: the reference for this project's.

Source: https://github.com/bethgelab/foolbox (Rauber et al. 2020, JOSS 5(53):2607).
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from bench.attacks.base import Attack
from bench.errors import BenchError
from bench.steps.step import GradientStep

_PGD = {"linf": "LinfPGD", "l2": "L2PGD", "l1": "L1PGD"}
_BRENDEL_BETHGE = {"linf": "LinfinityBrendelBethgeAttack", "l2": "L2BrendelBethgeAttack"}


class FoolboxPGD(Attack):
    """Projected gradient descent as foolbox runs it."""

    def run(
        self, step: GradientStep, images: Tensor, labels: Tensor, starts: Tensor | None
    ) -> Tensor:
        spec = self.spec
        dims = images[0].numel()
        budget = spec.budget(dims)
        step_size = spec.step_size if spec.step_scale == "relative" else spec.step(dims)
        assert budget is not None, "the entry validates pgd's keys"
        scale = "rel_stepsize" if spec.step_scale == "relative" else "abs_stepsize"
        attack = getattr(_foolbox().attacks, _PGD[spec.norm])(
            **{scale: step_size}, steps=spec.steps, random_start=spec.random_start
        )
        _, clipped, _ = attack(_wrap(step.model, images), images, labels, epsilons=budget)
        return torch.as_tensor(clipped)


class FoolboxBrendelBethge(Attack):
    """The Brendel-Bethge attack as foolbox runs it.

    foolbox's trust region is lr * (number of values in the whole batch), so the rate is rescaled
    to give the radius that a batch of `nominal_batch` would have.

    Raises:
        BenchError: numba is not installed.
    """

    def run(
        self, step: GradientStep, images: Tensor, labels: Tensor, starts: Tensor | None
    ) -> Tensor:
        assert starts is not None, "the caller checks that minimal attacks have starts"
        model = step.model
        result = images.clone()
        todo = _adversarial(model, starts, labels)
        # foolbox asserts that every start of the batch is adversarial, and a smaller batch may
        # be predicted differently in the last bit
        while todo.any():
            still = _adversarial(model, starts[todo], labels[todo])
            if bool(still.all()):
                result[todo] = self._attack(model, images[todo], labels[todo], starts[todo])
                break
            todo[todo.clone()] = still
        return result

    def _attack(self, model: nn.Module, images: Tensor, labels: Tensor, starts: Tensor) -> Tensor:
        spec = self.spec
        assert spec.learning_rate is not None, "the entry validates brendel-bethge's keys"
        with warnings.catch_warnings():
            # foolbox announces numba's compilation; numba may be newer than it
            warnings.simplefilter("ignore")
            attack = _brendel_bethge_class(spec.norm)(
                overshoot=spec.overshoot,
                steps=spec.steps,
                lr=spec.learning_rate * spec.nominal_batch / len(images),
                lr_decay=spec.learning_rate_decay,
                lr_num_decay=spec.learning_rate_decays,
                momentum=spec.momentum,
                binary_search_steps=spec.binary_search_steps,
            )
            found = attack.run(_wrap(model, images), images, labels, starting_points=starts)
        return torch.as_tensor(found)


def _brendel_bethge_class(norm: str) -> Any:
    try:
        import numba  # noqa: F401
    except ImportError:
        raise BenchError(
            'expected numba for implementation = "foolbox" of brendel-bethge, found none; '
            "install it: pip install 'frequency-bench[foolbox]'"
        ) from None
    return getattr(_foolbox().attacks, _BRENDEL_BETHGE[norm])


def _foolbox() -> Any:
    with warnings.catch_warnings():
        # foolbox 3.3.4 imports from a name that scipy deprecates
        warnings.simplefilter("ignore", DeprecationWarning)
        import foolbox
    return foolbox


def _wrap(model: nn.Module, images: Tensor) -> Any:
    return _foolbox().PyTorchModel(model, bounds=(0, 1), device=images.device)


@torch.no_grad()
def _adversarial(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    logits: Tensor = model(images)
    return logits.argmax(1) != labels
