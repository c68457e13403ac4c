"""Run an attack on a batch, and judge it once, for every attack."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.attacks.base import Attacked, norms
from bench.attacks.settle import settle
from bench.entries.attacks import AttackSettings
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
    stalled: Tensor
    """(B,) bool, the attack could not take its steps."""
    init_failed: Tensor
    """(B,) bool, no adversarial start point, so the sample was not attacked."""


def attack_batch(
    model: nn.Module,
    settings: AttackSettings,
    images: Tensor,
    labels: Tensor,
    starts: Tensor | None = None,
    start_ok: Tensor | None = None,
    step: GradientStep | None = None,
) -> AttackOutcome:
    """Attack a batch, settle minimal attacks, predict the stored images and check the budget.

    Args:
        model: images in [0, 1] -> (B, classes) logits; eval mode, parameters frozen.
        settings: the attack.
        images: (B, C, H, W) float32 in [0, 1] on the model's device.
        labels: (B,) int64, the true classes.
        starts: (B, C, H, W) float32 start images; some attacks need them, others ignore them.
        start_ok: (B,) bool, which starts are to be used; None: all.
        step: a faster way to run the same model for this project's own attacks
            (`bench.steps.calibrate`); predictions are the plain model's all the same.

    Raises:
        AssertionError: the implementation left the budget or changed the shape.
    """
    init_failed = torch.zeros_like(labels, dtype=torch.bool)
    if settings.needs_starts:
        assert starts is not None, f"{settings.algorithm} needs start points"
        if start_ok is not None:
            init_failed |= ~start_ok
        if len(images):
            init_failed |= _predict(model, starts)[0] == labels
    todo = ~init_failed
    given = starts[todo] if settings.needs_starts and starts is not None else None
    found = perturb(settings, model, images[todo], labels[todo], given, step=step)
    adversarial = images.clone()
    adversarial[todo] = found.adversarial
    broken = ~adversarial.flatten(1).isfinite().all(1)
    adversarial[broken] = images[broken]
    stalled = torch.zeros_like(init_failed)
    stalled[todo] = found.stalled
    broken[todo] |= found.nonfinite
    if settings.settles_by is not None and bool(todo.any()):
        adversarial[todo] = settle(
            model, images[todo], adversarial[todo], labels[todo], settings.settles_by
        )
    _check_budget(settings, adversarial - images)
    prediction, finite = _predict(model, adversarial)
    return AttackOutcome(adversarial, prediction, broken | ~finite, stalled, init_failed)


def perturb(
    settings: AttackSettings,
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    starts: Tensor | None = None,
    *,
    step: GradientStep | None = None,
) -> Attacked:
    """Run an attack on a batch: check what goes in, clip what comes out.

    Args:
        settings: the attack.
        model: images in [0, 1] -> (B, classes) logits; eval mode, parameters frozen.
        images: (B, C, H, W) float, clean images in [0, 1] on the model's device.
        labels: (B,) int64, the true classes.
        starts: (B, C, H, W) adversarial start images in [0, 1] where the attack needs them.
        step: a faster way to run the same model, for this project's own attacks
            (`bench.steps.calibrate`); None: plain.

    Returns:
        Adversarial images (B, C, H, W) in dtype and device of `images`, in [0, 1], NaN where the
        attack broke down; and how it went.
    """
    assert images.ndim == 4, f"images must be (B, C, H, W), got {tuple(images.shape)}"
    assert labels.shape == images.shape[:1], f"labels must be (B,), got {tuple(labels.shape)}"
    wanted = settings.needs_starts
    assert (starts is not None) == wanted, "starts belong to attacks that need them, and only those"
    assert starts is None or starts.shape == images.shape, "starts must have the images' shape"
    fine = torch.zeros_like(labels, dtype=torch.bool)
    if len(images) == 0:
        return Attacked(images.clone(), fine, fine)
    plain = step is None or not settings.own
    found = settings.run(GradientStep(model) if plain else step, images, labels, starts)
    if isinstance(found, Tensor):
        found = Attacked(found, fine, fine)
    adversarial = found.adversarial.detach()
    assert adversarial.shape == images.shape, f"{settings.algorithm} changed the shape"
    return Attacked(adversarial.to(images.dtype).clamp(0, 1), found.stalled, found.nonfinite)


@torch.no_grad()
def _predict(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return classes (B,) and whether all of a sample's logits are finite (B,)."""
    if len(images) == 0:
        nothing = torch.zeros(0, dtype=torch.int64, device=images.device)
        return nothing, nothing.bool()
    logits = model(images)
    return logits.argmax(1), logits.isfinite().all(1)


def _check_budget(settings: AttackSettings, delta: Tensor) -> None:
    dims = delta[0].numel() if len(delta) else 0
    budget = settings.budget(dims)
    if budget is None or dims == 0:
        return
    # image + delta is rounded to float32 in [0, 1]: at most 2**-24 a value
    rounding = {"linf": 1.0, "l2": dims**0.5, "l1": float(dims)}[settings.norm] * 2.0**-24
    worst = float(norms(delta, settings.norm).max())
    assert worst <= budget * (1 + 1e-5) + rounding, (
        f"{settings.algorithm} {settings.norm} left its budget: {worst:.6g} > {budget:.6g}"
    )
