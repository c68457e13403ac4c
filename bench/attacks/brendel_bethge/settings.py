"""The settings of the Brendel-Bethge attack.

Source: Brendel et al. 2019, https://arxiv.org/abs/1907.01003.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from bench.entries.attacks import AttackSettings

if TYPE_CHECKING:
    from torch import Tensor

    from bench.steps.step import GradientStep


class BrendelBethge(AttackSettings):
    """A walk along the decision boundary to the nearest adversarial image."""

    algorithm: Literal["brendel-bethge"] = "brendel-bethge"
    steps: int = Field(ge=1)
    implementation: Literal["bench", "foolbox"] = "bench"
    learning_rate: float = Field(gt=0)
    learning_rate_decay: float = Field(default=0.5, gt=0, le=1)
    learning_rate_decays: int = Field(default=20, ge=1)
    """The rate decays this many times over the run."""
    momentum: float = Field(default=0.8, ge=0, lt=1)
    overshoot: float = Field(default=1.1, gt=0)
    binary_search_steps: int = Field(default=10, ge=0)
    nominal_batch: int = Field(default=20, ge=1)
    """Batch size in foolbox's trust-region radius, whatever the real one is."""
    nearest_starts: int = Field(default=0, ge=0, le=10)
    """Begin also beyond so many boundaries that are nearest to first order; the best counts."""

    minimal: ClassVar[bool] = True
    needs_starts: ClassVar[bool] = True
    settles_by: ClassVar[Literal["largest logit", "spread"] | None] = "largest logit"

    @model_validator(mode="after")
    def _can_be_done(self) -> BrendelBethge:
        if self.norm == "l1":
            raise ValueError('algorithm "brendel-bethge" needs norm "linf" or "l2"')
        if self.nearest_starts and self.implementation != "bench":
            raise ValueError('nearest_starts belongs to implementation "bench"')
        return self

    @property
    def passes(self) -> int:
        """One a step, from each start."""
        return self.steps * (1 + self.nearest_starts)

    @property
    def own(self) -> bool:
        """Whether this project takes the steps."""
        return self.implementation == "bench"

    def describe(self) -> dict[str, Any]:
        """Return steps and rate."""
        return {"steps": self.steps, "step": self.learning_rate}

    def run(
        self, step: GradientStep, images: Tensor, labels: Tensor, starts: Tensor | None
    ) -> Tensor:
        """Walk with this project's code, or foolbox's."""
        assert starts is not None, "the caller checks that starts are there"
        if self.implementation == "foolbox":
            from bench.attacks.foolbox_reference import brendel_bethge

            return brendel_bethge(self, step.model, images, labels, starts)
        from bench.attacks.brendel_bethge.attack import WALKS

        return WALKS[self.norm](self).run(step, images, labels, starts)
