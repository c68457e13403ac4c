"""A run: an opened model, the place of its results and its pace. What engines are given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.entries.dataset import DatasetEntry
from bench.entries.protocol import Protocol
from bench.measure.block import block_samples
from bench.measure.job import Job
from bench.models.load import LoadedModel
from bench.results.address import Address
from bench.results.campaign import Unit
from bench.results.filesystem import files_at
from bench.results.notes import note_of
from bench.results.store import CLEAN, ROWS, Store
from bench.results.workplace import Task
from bench.run.metadata import describe
from bench.run.open import Opened, open_model
from bench.run.pace import Pace, Tell, pace_of, paced, silent
from bench.run.request import Request


@dataclass(frozen=True)
class Placed:
    """Where the results of an opened model go, and what they are.

    Attributes:
        store: the result.
        metadata: of the run, but for its pace.
    """

    store: Store
    metadata: Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """A request that was found to be possible, ready to be measured."""

    opened: Opened
    placed: Placed
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
        return self.placed.store

    @property
    def metadata(self) -> dict[str, Any]:
        """Of the run, its pace included."""
        return {**self.placed.metadata, **self.pace.describe()}

    @property
    def note(self) -> dict[str, Any]:
        """What it notes beside its blocks."""
        pace = {**self.pace.describe(), "threads": self.pace.threads}
        return note_of(self.metadata, started=self.metadata["started"], pace=pace)

    @property
    def task(self) -> Task:
        """What is to be measured where."""
        names = ("clean",) if self.request.clean else self.attacks
        asked = {name: self.opened.ids_of(name) for name in names}
        size = block_samples(self.job.batch_size)
        return _task(self.request, self.store, self.metadata, asked, size)

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
        return _at_pace(self.opened, self.placed, noted)


def open_run(request: Request, tell: Tell = silent) -> Run:
    """Check a request from end to end, load model and data, name its place, choose its pace.

    Raises:
        BenchError: something in it is impossible, or its place is another run's; nothing was run.
    """
    opened = open_model(request)
    placed = place(opened)
    placed.store.check(placed.metadata, request.where.overwrite)
    campaign = _task(request, placed.store, placed.metadata, {}, 1).campaign()
    campaign.admit(placed.metadata)
    return _at_pace(opened, placed, campaign.noted() or {}, tell)


def _task(
    request: Request,
    store: Store,
    metadata: Mapping[str, Any],
    asked: Mapping[str, tuple[int, ...]],
    size: int,
) -> Task:
    deltas = request.how.save_perturbations and not request.clean
    return Task(store, metadata, asked, size, request.where.overwrite, deltas)


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


def place(opened: Opened) -> Placed:
    """Return where the results of an opened model go.

    Raises:
        BenchError: nothing can be written there.
    """
    request = opened.request
    known, form = description(opened), ROWS
    if request.clean:
        dropped = ("protocol_text", "attacks", "expected")
        known = {k: v for k, v in known.items() if k not in dropped}
        known |= {"kind": "clean", "samples": len(opened.ids)}
        form = CLEAN
    files = files_at(request.where.output)
    files.prepare()
    address = Address(
        opened.protocol.name, opened.dataset.name, known["model"], bool(opened.reasons)
    )
    return Placed(Store(files, address.side("clean") if request.clean else address, form), known)


def _at_pace(opened: Opened, placed: Placed, noted: Mapping[str, Any], tell: Tell = silent) -> Run:
    wanted, sha256 = opened.request.how.batch_size, str(placed.metadata["weights_sha256"])
    pace = pace_of(opened.job, opened.ids, sha256, wanted, noted.get("pace"), tell)
    return Run(opened, placed, pace, paced(opened.job, pace, opened.ids))
