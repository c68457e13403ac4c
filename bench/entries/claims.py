"""What a study will look at, written before the numbers: contrasts, and the claims they decide."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from bench.entries.factors import FACTORS, Value, value_problem
from bench.entries.fields import Frozen, Line, Name

Selector = dict[str, Value]
"""Factor -> value: see `bench.entries.factors.matches`."""
Way = Literal["end", "epoch", "loss", "accuracy"]
"""How nets are compared: after the last epoch; at equal epochs (the mean over the checkpoints that
all have, without the untrained one); at equal training loss or at equal test accuracy (the lowest
loss, or highest accuracy, that all reach after the first checkpoint; interpolated within seeds)."""
Metric = Literal["rfc", "hfe", "f50", "grad_rfc"]


class Claim(Frozen):
    """A sentence of the paper, and which contrasts decide it."""

    name: Name
    sentence: Line
    """What is claimed, in our words."""
    source: Line
    """Where: abstract, text, supplement."""
    reading: Line | None = None
    """How the sentence became these contrasts, where that was a choice."""
    contrasts: tuple[Name, ...] = ()
    """Of this study. None: nothing here decides it."""
    beside: tuple[Name, ...] = ()
    """Contrasts that are shown with it and decide nothing."""
    needs: Line | None = None
    """What is missing where it can't be decided."""


class Contrast(Frozen):
    """A difference, left minus right, that was chosen before the numbers were seen."""

    name: Name
    title: Line
    kind: Literal["difference", "trend", "agreement", "board"] = "difference"
    """"difference": left minus right. "trend": the straight line through `levels`, its last minus
    its first value. "agreement": rank correlation of `metric` and `against` over all recipes that
    `left` chooses. "board": of submitted models, attack by attack."""
    left: Selector = Field(default_factory=dict)
    right: Selector = Field(default_factory=dict)
    less: tuple[Selector, Selector] | None = None
    """Another left and right, whose difference is taken off: does the difference differ?"""
    levels: tuple[Selector, ...] = ()
    """kind = "trend": what is added to `left`, level by level, in order, evenly spaced."""
    aside: tuple[Selector, ...] = ()
    """kind = "trend": levels that the figure shows before the others, and that decide nothing."""
    by: tuple[str, ...] = ()
    """Factors that all sides share: one comparison for each of their values."""
    ways: tuple[Way, ...] = ("end", "epoch", "loss", "accuracy")
    metric: Metric = "rfc"
    against: Metric | None = None
    epoch: int | None = None
    """Compare at this epoch only (0: untrained), not in `ways`."""
    growth: bool = False
    """Of what training has changed: the value at the end minus that of the untrained net."""
    pairs: tuple[tuple[Name, Name], ...] = ()
    """kind = "board": names of a left and a right model."""
    protocol: Name = "minimal2026"
    """kind = "board": whose submissions."""
    attacks: tuple[Name, ...] = ()
    """kind = "board": one comparison for each pair and attack."""
    expect: Literal["greater", "less", "equal"]
    """What the claim says of left minus right."""
    within: float | None = Field(default=None, gt=0)
    """expect = "equal": the largest difference that counts as none."""

    @model_validator(mode="after")
    def _is_whole(self) -> Contrast:
        board = self.kind == "board"
        for key, needed in (
            ("within", self.expect == "equal"),
            ("levels", self.kind == "trend"),
            ("against", self.kind == "agreement"),
            ("pairs", board),
            ("attacks", board),
        ):
            if bool(getattr(self, key)) != needed:
                kind = 'expect = "equal"' if key == "within" else _kind_of(key)
                raise ValueError(f'{kind} needs the key "{key}", and only it has it')
        if (self.less is not None or self.growth) and self.kind != "difference":
            raise ValueError('the keys "less" and "growth" belong to kind = "difference"')
        if self.aside and self.kind != "trend":
            raise ValueError('the key "aside" belongs to kind = "trend"')
        if self.growth and self.epoch is not None:
            raise ValueError('expected "epoch" or "growth", found both')
        selectors = [self.left, self.right, *self.levels, *self.aside, *(self.less or ())]
        unknown = sorted({k for s in selectors for k in s} - FACTORS | (set(self.by) - FACTORS))
        if unknown:
            raise ValueError(f"{unknown[0]!r} is no factor; factors: {', '.join(sorted(FACTORS))}")
        for key, value in (pair for selector in selectors for pair in selector.items()):
            if problem := value_problem(key, value):
                raise ValueError(f"contrast {self.name!r}: {key} = {value}: {problem}")
        return self


def _kind_of(key: str) -> str:
    kind = {"levels": "trend", "against": "agreement"}.get(key, "board")
    return f'kind = "{kind}"'
