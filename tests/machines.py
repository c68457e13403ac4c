"""Machines for calibration: how long a step takes follows from what the step does alone.

So a test says "where folding pays" and does not depend on the order or number of timed steps.
"""

from __future__ import annotations

from torch import Tensor, nn

from bench.steps.columns import ColumnConv
from bench.steps.pack import PackedLinear
from bench.steps.race import Timer
from bench.steps.step import GradientStep, margin_cotangent


def traits(step: GradientStep) -> set[str]:
    """Return what a step does otherwise than plain PyTorch."""
    kinds = [type(module) for module in step.model.modules()]
    found = {
        "fold": not any(issubclass(kind, nn.BatchNorm2d) for kind in kinds),
        "last": step.channels_last,
        "column": ColumnConv in kinds,
        "pack": any(issubclass(kind, PackedLinear) for kind in kinds),
        "parts": step.micro_batch is not None,
    }
    return {name for name, there in found.items() if there}


def machine(**saves: float) -> Timer:
    """Return a machine on which a plain step takes 1 s.

    Args:
        saves: trait -> seconds that it saves.
    """

    def seconds(step: GradientStep, images: Tensor, labels: Tensor) -> float:
        step(images, labels, margin_cotangent)  # a step that fails must fail here
        return 1.0 - sum(saves.get(name, 0.0) for name in traits(step))

    return seconds
