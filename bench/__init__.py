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
    from bench.api.board import challenge, check, leaderboard, publish, submit, verify
    from bench.api.look import compare, join, plot, summary
    from bench.api.measure import doctor, download, evaluate, rescore, selftest
    from bench.api.studies import study_compare, study_plan, study_report, study_run, study_submit
    from bench.api.why import check_theory, probe, probe_transfer
    from bench.models.load import load_model
    from bench.training.train import train

__version__ = "0.1.0"
__all__ = [
    "BenchError",
    "__version__",
    "challenge",
    "check",
    "check_theory",
    "compare",
    "doctor",
    "download",
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

_VERBS = {
    "measure": ("evaluate", "rescore", "selftest", "doctor", "download"),
    "look": ("summary", "plot", "compare", "join"),
    "board": ("submit", "check", "verify", "challenge", "leaderboard", "publish"),
    "why": ("probe", "probe_transfer", "check_theory"),
    "studies": ("study_plan", "study_run", "study_submit", "study_report", "study_compare"),
}
"""Module of `bench.api` -> its verbs."""
_LAZY = {
    "load_model": ("bench.models.load", "load_model"),
    "spectrum": ("bench.spectrum", None),
    "train": ("bench.training.train", "train"),
    **{verb: (f"bench.api.{module}", verb) for module, verbs in _VERBS.items() for verb in verbs},
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    module, attribute = _LAZY[name]
    loaded = importlib.import_module(module)
    return loaded if attribute is None else getattr(loaded, attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
