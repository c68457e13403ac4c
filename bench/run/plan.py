"""A run without its model: enough to hand out its units, to merge them and to show the result.

What opens a model makes it (`bench.run.run.Run.plan`, or an engine's worker on another machine); it
travels, and whoever holds it needs no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bench.entries.dataset import DatasetEntry
from bench.entries.model import ModelEntry
from bench.entries.protocol import Protocol
from bench.results.accuracy import Stated, accuracy_of
from bench.results.address import Address
from bench.results.block import block_samples
from bench.results.filesystem import files_at
from bench.results.merge import Merged
from bench.results.notes import note_of
from bench.results.provenance import now
from bench.results.store import CLEAN, ROWS, Store
from bench.results.workplace import Task, Workplace
from bench.run.probe import probe_store
from bench.run.request import Request

if TYPE_CHECKING:
    import numpy.typing as npt

    from bench.results.accuracy import Accuracy


@dataclass(frozen=True)
class Plan:
    """What is to be measured, where it goes, and what its file says.

    Attributes:
        request: what was asked for.
        entry: the model's.
        protocol: what is measured.
        dataset: on which images.
        attacks: the chosen ones and witnesses, in the protocol's order.
        sample_ids: of all samples, in order.
        partial_reasons: why the result is partial; none: it is not.
        asked: attack (or "clean") -> its sample ids.
        known: metadata of the run, but for its pace.
        pace: what the metadata say of its pace, and its threads; empty until it is chosen.
        stated: accuracy that the entry states of these weights on all of these images.
    """

    request: Request
    entry: ModelEntry
    protocol: Protocol
    dataset: DatasetEntry
    attacks: tuple[str, ...]
    sample_ids: tuple[int, ...]
    partial_reasons: tuple[str, ...]
    asked: Mapping[str, tuple[int, ...]]
    known: Mapping[str, Any]
    pace: Mapping[str, Any]
    stated: Stated | None

    @property
    def store(self) -> Store:
        """Where results go."""
        if self.request.what.probe:
            return probe_store(self.request, self.dataset.name, self.known["model"])
        partial = bool(self.partial_reasons)
        address = Address(self.protocol.name, self.dataset.name, self.known["model"], partial)
        files = files_at(self.request.where.output)
        if self.request.clean:
            return Store(files, address.side("clean"), CLEAN)
        return Store(files, address, ROWS)

    @property
    def metadata(self) -> dict[str, Any]:
        """Of the run, its pace included."""
        return {**self.known, **{k: v for k, v in self.pace.items() if k != "threads"}}

    @property
    def note(self) -> dict[str, Any]:
        """What it notes beside its blocks."""
        return note_of(self.metadata, started=self.metadata["started"], pace=dict(self.pace))

    @property
    def task(self) -> Task:
        """What is to be measured where."""
        where, clean = self.request.where, self.request.clean
        deltas = self.request.how.save_perturbations and not clean
        size = block_samples(int(self.pace.get("batch_size", 1)))
        return Task(self.store, self.metadata, self.asked, size, where.overwrite, deltas)

    def enter(self) -> dict[str, Any]:
        """Prove that it can be carried out where its results go; return what is noted there.

        Raises:
            BenchError: nothing can be written there, or another run's results are in the way.
        """
        store = self.store
        store.files.prepare()
        store.check(self.known, self.request.where.overwrite)
        campaign = self.task.campaign()
        campaign.admit(self.known)
        return campaign.noted() or {}

    def at(self, pace: Mapping[str, Any]) -> Plan:
        """Return the plan at a pace."""
        return replace(self, pace=pace)

    def accuracy(self, label_rank: npt.ArrayLike) -> Accuracy:
        """Return the accuracy of a clean run, beside what the entry states of these weights.

        Args:
            label_rank: (N,) number of logits above the label's.
        """
        import numpy as np

        return accuracy_of(np.asarray(label_rank), self.stated)

    def finish(self, place: Workplace, noted: Mapping[str, Any]) -> bool:
        """Merge the finished units into the result, with the metadata; False: some are missing.

        Args:
            place: where this process is at work.
            noted: what was noted when the run began.
        """

        def describe(merged: Merged) -> dict[str, Any]:
            times = {"started": noted.get("started") or self.known["started"], "ended": now()}
            if self.request.clean:
                found = self.accuracy(merged.column("clean", "label_rank")).metadata()
                return {"accuracy": found, **times}
            present, expected = merged.present, self.known["expected"]
            complete = all(present[attack] >= expected[attack] for attack in expected)
            return {"present": present, "complete": complete, **times}

        return place.finish(describe)
