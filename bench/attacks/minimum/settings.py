"""The settings of the search for the minimal perturbation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import model_validator

from bench.entries.attacks import AttackSettings

if TYPE_CHECKING:
    from torch import Tensor

    from bench.attacks.base import Attacked
    from bench.steps.step import GradientStep

PASSES = 60
"""Gradients an image, about, at most; what a run costs is estimated from it."""


class Minimum(AttackSettings):
    """The smallest perturbation in tens of gradients (`bench.attacks.minimum.minimise`)."""

    algorithm: Literal["minimum"] = "minimum"

    minimal: ClassVar[bool] = True
    needs_starts: ClassVar[bool] = True
    settles_by: ClassVar[Literal["largest logit", "spread"] | None] = "spread"

    @model_validator(mode="after")
    def _has_a_search(self) -> Minimum:
        if self.norm == "l1":
            raise ValueError('algorithm "minimum" needs norm "linf" or "l2"')
        return self

    @property
    def passes(self) -> int:
        """An estimate: the search ends when it has found the minimum."""
        return PASSES

    def describe(self) -> dict[str, Any]:
        """Return nothing: the search knows no number of steps and no budget."""
        return {}

    def run(
        self, step: GradientStep, images: Tensor, labels: Tensor, starts: Tensor | None
    ) -> Attacked:
        """Search; say of which samples it could not take its steps."""
        import torch

        from bench.attacks.base import Attacked
        from bench.attacks.minimum.minimise import minimise

        norm: Literal["l2", "linf"] = "l2" if self.norm == "l2" else "linf"
        found = minimise(step, images, labels, norm, starts=starts)
        stalled, nonfinite = (
            torch.tensor([s == name for s in found.status], dtype=torch.bool, device=labels.device)
            for name in ("stalled", "nonfinite")
        )
        return Attacked(found.adversarial, stalled, nonfinite)
