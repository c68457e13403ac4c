"""A run: an opened model, the plan of what is measured and its pace. What the local engine runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.entries.dataset import DatasetEntry
from bench.entries.protocol import Protocol
from bench.measure.job import Job
from bench.models.load import LoadedModel
from bench.models.memory import InMemory
from bench.results.accuracy import Stated, stated_accuracy
from bench.results.campaign import Unit
from bench.results.store import Store
from bench.results.workplace import Task
from bench.run.metadata import describe
from bench.run.open import Opened, open_model
from bench.run.pace import Pace, Tell, pace_of, paced, silent
from bench.run.plan import Plan
from bench.run.probe import probe_metadata
from bench.run.request import Request


@dataclass(frozen=True)
class Run:
    """A request that was found to be possible, ready to be measured."""

    opened: Opened
    plan: Plan
    pace: Pace
    job: Job

    @property
    def request(self) -> Request:
        """What was asked for."""
        return self.opened.request

    @property
    def protocol(self) -> Protocol:
        """What is measured."""
        return self.opened.protocol

    @property
    def dataset(self) -> DatasetEntry:
        """On which images."""
        return self.opened.dataset

    @property
    def loaded(self) -> LoadedModel:
        """The model."""
        return self.opened.loaded

    @property
    def attacks(self) -> tuple[str, ...]:
        """The chosen attacks, in the protocol's order."""
        return self.opened.attacks

    @property
    def sample_ids(self) -> tuple[int, ...]:
        """The samples, in order."""
        return self.opened.ids

    @property
    def partial_reasons(self) -> tuple[str, ...]:
        """Why the result is partial."""
        return self.opened.reasons

    @property
    def store(self) -> Store:
        """Where results go."""
        return self.plan.store

    @property
    def metadata(self) -> dict[str, Any]:
        """Of the run, its pace included."""
        return self.plan.metadata

    @property
    def note(self) -> dict[str, Any]:
        """What it notes beside its blocks."""
        return self.plan.note

    @property
    def task(self) -> Task:
        """What is to be measured where."""
        return self.plan.task

    @property
    def constants(self) -> dict[str, str]:
        """The columns that are the same in every row."""
        keys = ("protocol", "protocol_hash", "model", "dataset")
        return {key: str(self.metadata[key]) for key in keys}

    def missing(self) -> list[Unit]:
        """Return the units that are still to be measured."""
        task = self.task
        return task.campaign().missing(task.size)

    def at_pace(self, noted: Mapping[str, Any]) -> Run:
        """Return the run at the pace that another process has noted before."""
        if noted.get("pace") == self.note["pace"]:
            return self
        return at_pace(self.opened, self.plan, noted.get("pace"))


def open_run(request: Request, memory: InMemory | None = None, tell: Tell = silent) -> Run:
    """Check a request from end to end, load model and data, name its place, choose its pace.

    Args:
        request: what was asked for.
        memory: the model, if it is in memory.
        tell: told in a line what takes a while.

    Raises:
        BenchError: something in it is impossible, or its place is another run's; nothing was run.
    """
    opened = open_model(request, memory)
    plan = plan_of(opened)
    noted = plan.enter()
    return at_pace(opened, plan, noted.get("pace"), tell)


def plan_of(opened: Opened) -> Plan:
    """Return the plan of an opened model, without its pace. Nothing is written."""
    request = opened.request
    known = description(opened)
    if request.what.probe:
        known = probe_metadata(opened, known)
    if request.clean:
        dropped = ("protocol_text", "attacks", "expected")
        known = {k: v for k, v in known.items() if k not in dropped}
        known |= {"kind": "clean", "samples": len(opened.ids)}
    names = ("clean",) if request.clean else opened.attacks
    if request.what.probe:
        names = tuple(known["attacks"])
    return Plan(
        request=request,
        entry=opened.entry,
        protocol=opened.protocol,
        dataset=opened.dataset,
        attacks=opened.attacks,
        sample_ids=opened.ids,
        partial_reasons=opened.reasons,
        asked={name: opened.ids_of(name) for name in names},
        known=known,
        pace={},
        stated=_stated(opened),
    )


def _stated(opened: Opened) -> Stated | None:
    """Return what the entry states of this run: of the whole split, and of these weights."""
    weights = opened.loaded.weights
    if opened.reasons:
        return None
    return stated_accuracy(opened.entry, weights.kind, weights.file_sha256)


def description(opened: Opened) -> dict[str, Any]:
    """Return what the metadata say of an opened model."""
    return describe(
        opened.protocol,
        opened.dataset,
        opened.loaded,
        opened.job,
        opened.data,
        opened.ids,
        opened.reasons,
    )


def at_pace(opened: Opened, plan: Plan, noted: Any, tell: Tell = silent) -> Run:
    """Return a run at the pace that is noted, or at one that is chosen now.

    Args:
        opened: the model.
        plan: what is measured.
        noted: pace of an unfinished run's note, or of another process of this one.
        tell: told in a line what takes a while.
    """
    wanted, sha256 = opened.request.how.batch_size, str(plan.known["weights_sha256"])
    pace = pace_of(opened.job, opened.ids, sha256, wanted, noted, tell)
    at = plan.at({**pace.describe(), "threads": pace.threads})
    return Run(opened, at, pace, paced(opened.job, pace, opened.ids))
