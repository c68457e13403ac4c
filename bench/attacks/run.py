"""Attack a batch and judge it once, for every attack."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.attacks.base import norms
from bench.attacks.settle import settle
from bench.attacks.table import build
from bench.entries.attacks import AttackSpec
from bench.steps.step import GradientStep


@dataclass(frozen=True)
class AttackOutcome:
    """What an attack did to a batch; all tensors are on the images' device."""

    adversarial: Tensor
    """(B, C, H, W) float32 in [0, 1]; the clean image where `nonfinite` or `init_failed`."""
    adv_pred: Tensor
    """(B,) int64, class of the stored image, predicted after the attack."""
    nonfinite: Tensor
    """(B,) bool, the attack or the model's logits were NaN or infinite."""
    init_failed: Tensor
    """(B,) bool, no adversarial start point, so the sample was not attacked."""


def attack_batch(
    model: nn.Module,
    spec: AttackSpec,
    images: Tensor,
    labels: Tensor,
    starts: Tensor | None = None,
    start_ok: Tensor | None = None,
    step: GradientStep | None = None,
) -> AttackOutcome:
    """Attack a batch, settle minimal attacks, predict the stored images and check the budget.

    Args:
        model: images in [0, 1] -> (B, classes) logits; eval mode, parameters frozen.
        spec: the attack.
        images: (B, C, H, W) float32 in [0, 1] on the model's device.
        labels: (B,) int64, the true classes.
        starts: (B, C, H, W) float32 start images; minimal attacks need them, others ignore them.
        start_ok: (B,) bool, which starts are to be used; None: all.
        step: a faster way to run the same model for this project's own attacks
            (`bench.steps.calibrate`); predictions are the plain model's all the same.

    Raises:
        AssertionError: the implementation left the budget or changed the shape.
    """
    init_failed = torch.zeros_like(labels, dtype=torch.bool)
    if spec.minimal:
        assert starts is not None, f"{spec.algorithm} needs start points"
        if start_ok is not None:
            init_failed |= ~start_ok
        if len(images):
            init_failed |= _predict(model, starts)[0] == labels
    todo = ~init_failed
    adversarial = images.clone()
    given = starts[todo] if spec.minimal and starts is not None else None
    own = step if spec.implementation == "bench" else None
    adversarial[todo] = build(spec)(model, images[todo], labels[todo], given, step=own)
    broken = ~adversarial.flatten(1).isfinite().all(1)
    adversarial[broken] = images[broken]
    if spec.minimal and bool(todo.any()):
        adversarial[todo] = settle(model, images[todo], adversarial[todo], labels[todo])
    _check_budget(spec, adversarial - images)
    prediction, finite = _predict(model, adversarial)
    return AttackOutcome(adversarial, prediction, broken | ~finite, init_failed)


@torch.no_grad()
def _predict(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return classes (B,) and whether all of a sample's logits are finite (B,)."""
    if len(images) == 0:
        nothing = torch.zeros(0, dtype=torch.int64, device=images.device)
        return nothing, nothing.bool()
    logits = model(images)
    return logits.argmax(1), logits.isfinite().all(1)


def _check_budget(spec: AttackSpec, delta: Tensor) -> None:
    dims = delta[0].numel() if len(delta) else 0
    budget = spec.budget(dims)
    if budget is None or dims == 0:
        return
    # image + delta is rounded to float32 in [0, 1]: at most 2**-24 a value
    rounding = {"linf": 1.0, "l2": dims**0.5, "l1": float(dims)}[spec.norm] * 2.0**-24
    worst = float(norms(delta, spec.norm).max())
    assert worst <= budget * (1 + 1e-5) + rounding, (
        f"{spec.algorithm} {spec.norm} ({spec.implementation}) left its budget: "
        f"{worst:.6g} > {budget:.6g}"
    )
