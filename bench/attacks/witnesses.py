"""Attacks of other families, which test a protocol's minimal attacks: their settings."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from bench.entries.attacks import AttackSettings

if TYPE_CHECKING:
    from torch import Tensor

    from bench.steps.step import GradientStep


class ExactAffine(AttackSettings):
    """The exact minimum of an affine model in the box (`bench.attacks.affine`)."""

    algorithm: Literal["exact-affine"] = "exact-affine"

    minimal: ClassVar[bool] = True
    affine_only: ClassVar[bool] = True
    settles_by: ClassVar[Literal["largest logit", "spread"] | None] = "spread"

    @property
    def own(self) -> bool:
        """False: it reads the weights off the model as it is, not off a prepared copy."""
        return False

    @model_validator(mode="after")
    def _has_a_closed_form(self) -> ExactAffine:
        if self.norm == "l1":
            raise ValueError('algorithm "exact-affine" needs norm "linf" or "l2"')
        return self

    def run(
        self, step: GradientStep, images: Tensor, labels: Tensor, starts: Tensor | None
    ) -> Tensor:
        """Solve the problem of each other class, and take the nearest."""
        from bench.attacks.affine import exact

        return exact(step.model, images, labels, self.norm)


class FoolboxMinimal(AttackSettings):
    """A minimal attack as foolbox runs it: DDN (L2), or the fast minimum-norm attack (Linf).

    Source: Rony et al. 2019, https://arxiv.org/abs/1811.09600 (DDN); Pintor et al. 2021,
    https://arxiv.org/abs/2102.12827 (FMN); https://github.com/bethgelab/foolbox.
    """

    algorithm: Literal["foolbox-ddn", "foolbox-fmn"]
    steps: int = Field(ge=1)
    gamma: float = Field(default=0.05, gt=0)
    """Relative change of the radius in a step."""

    minimal: ClassVar[bool] = True
    settles_by: ClassVar[Literal["largest logit", "spread"] | None] = "spread"

    @model_validator(mode="after")
    def _has_an_implementation(self) -> FoolboxMinimal:
        if (self.algorithm, self.norm) not in CLASSES:
            known = ", ".join(f"{a} {n}" for a, n in CLASSES)
            raise ValueError(f"expected one of {known}, got {self.algorithm} {self.norm}")
        return self

    @property
    def passes(self) -> int:
        """One a step."""
        return self.steps

    @property
    def own(self) -> bool:
        """False: foolbox takes the steps."""
        return False

    def describe(self) -> dict[str, Any]:
        """Return the steps."""
        return {"steps": self.steps}

    def run(
        self, step: GradientStep, images: Tensor, labels: Tensor, starts: Tensor | None
    ) -> Tensor:
        """Run foolbox's class; what it did not fool stays as it ended."""
        import torch

        from bench.attacks.foolbox_reference import imported, wrapped

        attack = getattr(imported().attacks, CLASSES[self.algorithm, self.norm])(
            steps=self.steps, gamma=self.gamma
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = attack.run(wrapped(step.model, images), images, labels)
        return torch.as_tensor(found)


CLASSES = {
    ("foolbox-ddn", "l2"): "DDNAttack",
    ("foolbox-fmn", "linf"): "LInfFMNAttack",
}
"""(algorithm, norm) -> foolbox's class. Its FMN for L2 (3.3.4) ends at multiples of its first step,
up to four times too long on linear models, and is no witness."""
