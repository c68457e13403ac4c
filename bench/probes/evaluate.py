"""Measure a probe on a model and its untrained twin; write table and figures."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from bench.entries import registry
from bench.entries.probes import Probe, probe_class
from bench.errors import BenchError
from bench.probes.report import Report
from bench.probes.tables import Subject
from bench.results.filesystem import FileSystem
from bench.results.probes import arrays
from bench.run.engines.array import Follower
from bench.run.local import run as run_local
from bench.run.machine import threads
from bench.run.plan import Plan
from bench.run.progress import Progress, Silent
from bench.run.request import Request
from bench.run.run import open_run
from bench.run.several import not_measured

LIMIT = 200
"""Samples of a probe, if nothing else is asked for."""


def asked_of(probe: str, **options: object) -> Request:
    """Return the request for a probe; options as those of `Request.of`.

    Raises:
        BenchError: no such probe, or a value makes no sense.
    """
    probe_class(probe)
    if options.get("limit") is None:
        options["limit"] = LIMIT
    if options.get("weights") == "random":
        raise BenchError(
            "expected trained weights for a probe, got random; its untrained twin is measured "
            "beside every model (--no-twin leaves it out)"
        )
    request = Request.of(probe=probe, **options)
    attack = registry.protocol(request.what.protocol).primary_attack
    return request.but(attacks=(attack,))


def measure(request: Request, progress: Progress | None = None) -> Plan:
    """Measure here what is missing of one probe of one model; return what its file holds.

    Raises:
        BenchError: the request can't be met; what was finished is kept.
    """
    count = request.how.threads or max(1, torch.get_num_threads() // request.how.workers)
    with threads(count):
        run = open_run(request)
        run_local(run, progress or Silent())
    return run.plan


def with_twin(
    request: Request, twin: bool = True, progress: Sequence[Progress] = ()
) -> tuple[Plan, ...]:
    """Measure a probe on a model, and on the same net untrained.

    Args:
        request: from `asked_of`.
        twin: also the untrained net.
        progress: who is told of each, if it is measured here.
    """
    if request.how.engine != "local":
        return elsewhere([request], twin)[0]
    runs = [measure(request, progress[0] if progress else None)]
    if twin:
        control = request.but(weights="random")
        runs.append(measure(control, progress[1] if len(progress) > 1 else None))
    return tuple(runs)


def elsewhere(
    requests: Sequence[Request],
    twin: bool = True,
    follower: Follower | None = None,
    progress: Progress | None = None,
) -> list[tuple[Plan, ...]]:
    """Measure a probe on models and their twins, all of them in one engine's workers.

    Args:
        requests: from `asked_of`; the engine is the first one's, "ray" or "slurm".
        twin: also the untrained nets.
        follower: who is told how far it is (SLURM).
        progress: who is told how far it is (Ray).

    Returns:
        Of each request: the model's, and its twin's.

    Raises:
        BenchError: the engine is not there, or a model could not be measured to its end.
    """
    kinds = ("", "random") if twin else ("",)
    every = [one.but(weights=kind) if kind else one for one in requests for kind in kinds]
    found: dict[int, Plan] = {}
    if requests[0].how.engine == "slurm":
        from bench.run.engines.array import evaluate_in_array

        refused = evaluate_in_array(every, follower or _Quiet(), found.__setitem__)
    else:
        from bench.run.engines.start import evaluate_in_pool

        refused = evaluate_in_pool(every, _Watcher(found, progress or Silent()))
    if refused:
        raise not_measured(refused, len(every))
    plans = [found[place] for place in range(len(every))]
    return [tuple(plans[k : k + len(kinds)]) for k in range(0, len(plans), len(kinds))]


@dataclass(frozen=True)
class _Watcher:
    """Keeps what a pool has done; fulfils `bench.run.engines.hand_out.Watcher`."""

    found: dict[int, Plan]
    progress: Progress

    def planned(self, place: int, plan: Plan) -> Progress:
        """Tell one and the same of all models."""
        return self.progress

    def done(self, place: int, plan: Plan) -> None:
        """Keep it."""
        self.found[place] = plan


class _Quiet:
    """Nobody follows; fulfils `bench.run.engines.array.Follower`."""

    def set(self, total: int, done: int, text: str) -> None:
        """Say nothing."""


def probe_of(run: Plan) -> Probe:
    """Return the probe of a run."""
    return probe_class(run.request.what.probe)()


def subject_of(runs: Sequence[Plan]) -> Subject:
    """Return what was measured of a model, and of its twin if it is among the runs."""
    found = None
    for run in reversed(runs):
        found = Subject(run.store.metadata() or {}, arrays(run.store.read()), found)
    assert found is not None, "a model was measured"
    return found


def write_figures(runs: Sequence[Plan], report: Report) -> list[str]:
    """Draw beside the rows; return where rows and figures are."""
    from bench.figures.style import png, svg

    files: FileSystem = runs[0].store.files
    key = runs[0].store.address.file
    with files.open(key) as stream:
        digest = hashlib.sha256(stream.read()).hexdigest()
    stem = str(Path(key).with_suffix(""))
    pictures = {
        f"{stem}.svg": svg(report.drawing, digest),
        f"{stem}.png": png(report.drawing, dpi=150),
    }
    for name, content in pictures.items():
        with files.put(name) as out:
            out.write(content)
    return [*(run.store.where for run in runs), *(files.where(name) for name in pictures)]
