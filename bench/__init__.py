"""frequency-bench: where in the frequency spectrum is an image classifier attackable?

The calls to begin with::

    table = bench.evaluate(model="fashionmnist-local-conv-relu", attacks="min-l2", limit=32)
    table = bench.evaluate(model=net, dataset="fashionmnist", name="mine", limit=100)
    bench.summary(table); bench.plot(table)
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
        challenge,
        check,
        check_theory,
        compare,
        evaluate,
        join,
        leaderboard,
        plot,
        probe,
        probe_transfer,
        publish,
        rescore,
        selftest,
        study_report,
        study_submit,
        submit,
        summary,
        verify,
    )
    from bench.models.load import load_model
    from bench.studies.calls import study_compare, study_plan, study_run
    from bench.training.train import train

__version__ = "0.1.0"
__all__ = [
    "BenchError",
    "__version__",
    "challenge",
    "check",
    "check_theory",
    "compare",
    "evaluate",
    "join",
    "leaderboard",
    "load_model",
    "plot",
    "probe",
    "probe_transfer",
    "publish",
    "rescore",
    "selftest",
    "spectrum",
    "study_compare",
    "study_plan",
    "study_report",
    "study_run",
    "study_submit",
    "submit",
    "summary",
    "train",
    "verify",
]

_VERBS = (
    "challenge",
    "check",
    "check_theory",
    "compare",
    "evaluate",
    "join",
    "leaderboard",
    "plot",
    "probe",
    "probe_transfer",
    "publish",
    "rescore",
    "selftest",
    "study_report",
    "study_submit",
    "submit",
    "summary",
    "verify",
)
_STUDIES = ("study_compare", "study_plan", "study_run")
_LAZY = {
    "load_model": ("bench.models.load", "load_model"),
    "spectrum": ("bench.spectrum", None),
    "train": ("bench.training.train", "train"),
    **{name: ("bench.api", name) for name in _VERBS},
    **{name: ("bench.studies.calls", name) for name in _STUDIES},
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    module, attribute = _LAZY[name]
    loaded = importlib.import_module(module)
    return loaded if attribute is None else getattr(loaded, attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
