"""frequency-bench: where in the frequency spectrum is an image classifier attackable?

The three calls::

    table = bench.evaluate(model="fashionmnist-local-conv-relu", attacks=["bb-l2"], limit=32)
    net = bench.load_model("resnet50d")
    from bench.spectrum import power_spectrum, spectral_metrics

Nothing heavy is imported before one of them is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError

if TYPE_CHECKING:
    from bench import spectrum
    from bench.api import (
        check,
        compare,
        evaluate,
        join,
        leaderboard,
        probe_transfer,
        study_plan,
        study_run,
        study_submit,
        submit,
        verify,
    )
    from bench.models.load import load_model
    from bench.training.train import train

__version__ = "0.1.0"
__all__ = [
    "BenchError",
    "__version__",
    "check",
    "compare",
    "evaluate",
    "join",
    "leaderboard",
    "load_model",
    "probe_transfer",
    "spectrum",
    "study_plan",
    "study_run",
    "study_submit",
    "submit",
    "train",
    "verify",
]

_VERBS = (
    "check",
    "compare",
    "evaluate",
    "join",
    "leaderboard",
    "probe_transfer",
    "study_plan",
    "study_run",
    "study_submit",
    "submit",
    "verify",
)
_LAZY = {
    "load_model": ("bench.models.load", "load_model"),
    "spectrum": ("bench.spectrum", None),
    "train": ("bench.training.train", "train"),
    **{name: ("bench.api", name) for name in _VERBS},
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    module, attribute = _LAZY[name]
    loaded = importlib.import_module(module)
    return loaded if attribute is None else getattr(loaded, attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
