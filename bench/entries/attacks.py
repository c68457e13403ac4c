"""Attack settings: what a protocol says of one attack, and which algorithms there are.

An algorithm is one file (or folder) in `bench/attacks/`: a class of its settings, which also runs
it. Adding one takes that file and one line of :data:`ALGORITHMS`; no other place knows its keys.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, SerializeAsAny, ValidationError, WrapValidator

from bench.entries.fields import Frozen
from bench.errors import unknown_name

if TYPE_CHECKING:
    from pydantic import ValidatorFunctionWrapHandler

Norm = Literal["linf", "l2", "l1"]

ALGORITHMS: dict[str, str] = {
    "pgd": "bench.attacks.pgd:PGD",
    "brendel-bethge": "bench.attacks.brendel_bethge.settings:BrendelBethge",
    "minimum": "bench.attacks.minimum.settings:Minimum",
    "exact-affine": "bench.attacks.witnesses:ExactAffine",
    "foolbox-ddn": "bench.attacks.witnesses:FoolboxMinimal",
    "foolbox-fmn": "bench.attacks.witnesses:FoolboxMinimal",
}
"""Algorithm -> "module:class" of its settings. The module is imported when a protocol names the
algorithm, and must not import torch by itself: `bench list` reads protocols too."""


class AttackSettings(Frozen):
    """One attack with all its settings. A subclass adds its keys and writes `run`.

    A key that comes later needs a default under which the attack is what it was before: what is
    not set stands in no hash. A default never changes; raise `version` instead.
    """

    algorithm: str
    norm: Norm
    version: int = Field(ge=1)
    """Version of the implementation: raise it when results may change."""

    minimal: ClassVar[bool] = False
    """True if the attack minimises the norm instead of using up a budget."""
    needs_starts: ClassVar[bool] = False
    """True if `run` takes adversarial start images."""
    affine_only: ClassVar[bool] = False
    """True if it works for affine models only, where it then runs on all ids."""
    settles_by: ClassVar[Literal["largest logit", "spread"] | None] = None
    """What the margin is relative to that a result is moved off the boundary by (see
    `bench.attacks.settle`); None: results stay as they are."""

    def budget(self, dims: int) -> float | None:
        """Return the largest allowed norm for an input of `dims` values, None if minimal."""
        return None

    @property
    def passes(self) -> int:
        """Forward and backward passes of an image, at most: what a run costs."""
        return 1

    @property
    def own(self) -> bool:
        """True if this project's code takes the steps, which may be calibrated."""
        return True

    def shortened(self, passes: int) -> Self:
        """Return the attack with about so many passes, to time it; itself if it knows no steps."""
        return self.model_copy(update={"steps": passes}) if hasattr(self, "steps") else self

    def describe(self) -> dict[str, Any]:
        """Return what `bench list attacks` and the board say of it besides algorithm and norm."""
        return {}

    def run(self, step: Any, images: Any, labels: Any, starts: Any) -> Any:
        """Attack a batch that is not empty.

        Args:
            step: `bench.steps.step.GradientStep`, the model.
            images: (B, C, H, W) float tensor, clean images in [0, 1] on the model's device.
            labels: (B,) int64, the true classes.
            starts: (B, C, H, W) adversarial images in [0, 1] where `needs_starts`, else None.

        Returns:
            (B, C, H, W) adversarial images, or a `bench.attacks.base.Attacked`.
        """
        raise NotImplementedError(f"algorithm {self.algorithm!r} has no run")

    def normative(self) -> dict[str, Any]:
        """Return what decides the results, JSON-ready: algorithm, norm, version, and every key
        that is set to something else than its default."""
        always = {"algorithm": self.algorithm, "norm": self.norm, "version": self.version}
        return self.model_dump(mode="json", exclude_defaults=True) | always


def settings_class(algorithm: str) -> type[AttackSettings]:
    """Return the settings class of an algorithm.

    Raises:
        BenchError: there is no such algorithm.
    """
    if algorithm not in ALGORITHMS:
        raise unknown_name("algorithm", algorithm, ALGORITHMS)
    module, _, name = ALGORITHMS[algorithm].partition(":")
    found: type[AttackSettings] = getattr(importlib.import_module(module), name)
    return found


def _validated(value: Any, handler: ValidatorFunctionWrapHandler) -> AttackSettings:
    """Choose the class by the key `algorithm`; errors name the key as those of an entry do."""
    if isinstance(value, AttackSettings):
        return value
    name = value.get("algorithm") if isinstance(value, Mapping) else None
    if not isinstance(name, str) or name not in ALGORITHMS:
        known = ", ".join(ALGORITHMS)
        raise ValueError(f"expected algorithm to be one of {known}")
    try:
        return settings_class(name).model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        text = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"{key}: {text}" if key else text) from None


AnyAttack = Annotated[SerializeAsAny[AttackSettings], WrapValidator(_validated)]
"""A field that holds the settings of any algorithm of :data:`ALGORITHMS`."""


def attack_hash(name: str, settings: AttackSettings, seed: int, sample_ids: Sequence[int]) -> str:
    """Return the identity of an attack: results of the same identity are the same results.

    Args:
        name: the attack's name in its protocol, which start points are drawn from.
        settings: what is done.
        seed: of the draws.
        sample_ids: the ordered pool of ids.

    Returns:
        SHA-256, 64 hex digits.
    """
    parts = {
        "attack": name,
        "settings": settings.normative(),
        "seed": seed,
        "sample_ids": list(sample_ids),
    }
    return digest(parts)


def digest(parts: Mapping[str, Any]) -> str:
    """Return the SHA-256 of JSON-ready facts, whatever the order of their keys."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
