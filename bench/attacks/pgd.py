"""Projected gradient descent: its settings.

Source: Madry et al. 2018, https://arxiv.org/abs/1706.06083.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from bench.entries.attacks import AttackSettings

if TYPE_CHECKING:
    from torch import Tensor

    from bench.steps.step import GradientStep


class PGD(AttackSettings):
    """Fixed steps along the loss gradient inside a norm ball (`bench.attacks.descent`)."""

    algorithm: Literal["pgd"] = "pgd"
    steps: int = Field(ge=1)
    implementation: Literal["bench", "foolbox"] = "bench"
    epsilon: float = Field(gt=0)
    """Budget in [0,1] pixel units (see epsilon_scale)."""
    epsilon_scale: Literal["sum", "mean"] = "sum"
    """With "mean", epsilon is per input value, the norm's budget is epsilon * C * H * W."""
    step_size: float = Field(gt=0)
    step_scale: Literal["relative", "absolute"] = "relative"
    """With "relative", the step is step_size * (the norm's budget)."""
    random_start: bool = False

    @model_validator(mode="after")
    def _has_no_random_start(self) -> PGD:
        if self.random_start:
            raise ValueError(
                "expected random_start = false, got true: start noise leaves a white residue in "
                "the spectrum, and no implementation here draws it; remove the key"
            )
        return self

    def budget(self, dims: int) -> float:
        """Return the largest allowed norm for an input of `dims` values."""
        return self.epsilon * dims if self.epsilon_scale == "mean" else self.epsilon

    def step(self, dims: int) -> float:
        """Return the step in the norm's units for an input of `dims` values.

        An absolute step is measured as epsilon is: per input value if epsilon_scale = "mean".
        """
        if self.step_scale == "relative":
            return self.step_size * self.budget(dims)
        return self.step_size * dims if self.epsilon_scale == "mean" else self.step_size

    @property
    def passes(self) -> int:
        """One a step."""
        return self.steps

    @property
    def own(self) -> bool:
        """Whether this project takes the steps."""
        return self.implementation == "bench"

    def describe(self) -> dict[str, Any]:
        """Return steps, step and budget."""
        return {
            "steps": self.steps,
            "step": self.step_size,
            "step_scale": self.step_scale,
            "budget": self.epsilon,
            "budget_scale": self.epsilon_scale,
        }

    def run(
        self, step: GradientStep, images: Tensor, labels: Tensor, starts: Tensor | None
    ) -> Tensor:
        """Descend with this project's code, or foolbox's."""
        if self.implementation == "foolbox":
            from bench.attacks.foolbox_reference import pgd

            return pgd(self, step.model, images, labels)
        from bench.attacks.descent import descend

        return descend(self, step, images, labels)
