"""Attack settings: what a protocol says of one attack."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from bench.entries.fields import Frozen


class AttackSpec(Frozen):
    """One attack with all its settings. Every field is normative (part of the hash)."""

    algorithm: Literal["pgd", "brendel-bethge"]
    norm: Literal["linf", "l2", "l1"]
    steps: int = Field(ge=1)
    implementation: Literal["bench", "foolbox"] = "bench"
    version: int = Field(ge=1)
    """Version of the implementation: raise it when results may change."""
    # pgd
    epsilon: float | None = Field(default=None, gt=0)
    """Budget in [0,1] pixel units (see epsilon_scale)."""
    epsilon_scale: Literal["sum", "mean"] = "sum"
    """With "mean", epsilon is per input value, the norm's budget is epsilon * C * H * W."""
    step_size: float | None = Field(default=None, gt=0)
    step_scale: Literal["relative", "absolute"] = "relative"
    """With "relative", the step is step_size * (the norm's budget)."""
    random_start: bool = False
    # brendel-bethge
    learning_rate: float | None = Field(default=None, gt=0)
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

    @model_serializer(mode="wrap")
    def _without_later_fields(self, dump: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Leave a later field out where it is off, so that older hashes stay what they are."""
        fields: dict[str, object] = dump(self)
        if self.nearest_starts == 0:
            fields.pop("nearest_starts", None)
        return fields

    @model_validator(mode="after")
    def _has_its_settings(self) -> AttackSpec:
        needs = {"pgd": ("epsilon", "step_size"), "brendel-bethge": ("learning_rate",)}
        for key in needs[self.algorithm]:
            if getattr(self, key) is None:
                raise ValueError(f'algorithm "{self.algorithm}" needs the key "{key}"')
        if self.nearest_starts and (self.algorithm, self.implementation) != (
            "brendel-bethge",
            "bench",
        ):
            raise ValueError('nearest_starts belongs to algorithm "brendel-bethge" of this project')
        if self.algorithm == "brendel-bethge" and self.norm == "l1":
            raise ValueError('algorithm "brendel-bethge" needs norm "linf" or "l2"')
        return self

    @property
    def minimal(self) -> bool:
        """True if the attack minimises the norm instead of using up a budget."""
        return self.algorithm == "brendel-bethge"

    def budget(self, dims: int) -> float | None:
        """Return the largest allowed norm for an input of `dims` values, None if minimal."""
        if self.epsilon is None:
            return None
        return self.epsilon * dims if self.epsilon_scale == "mean" else self.epsilon

    def step(self, dims: int) -> float | None:
        """Return the step in the norm's units for an input of `dims` values, None if minimal.

        An absolute step is measured as epsilon is: per input value if epsilon_scale = "mean".
        """
        budget = self.budget(dims)
        if budget is None or self.step_size is None:
            return None
        if self.step_scale == "relative":
            return self.step_size * budget
        return self.step_size * dims if self.epsilon_scale == "mean" else self.step_size
