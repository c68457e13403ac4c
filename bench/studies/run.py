"""Run a study's blocks with whoever else is at work at the same place, in any order.

A block that is finished is skipped, one that another process has claimed is left to it, one that a
process left behind is gone on with. Each process ends when all chosen blocks are there.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bench.entries import registry
from bench.entries.study import Block
from bench.errors import BenchError
from bench.results import study_blocks
from bench.results.claims import Claims
from bench.results.filesystem import LocalFiles, local_folder
from bench.results.presence import Presence, Watch
from bench.results.workplace import Timing
from bench.studies.places import OUTPUT, SUBMITTED, WORK, Shelf, chosen
from bench.studies.source import Source

if TYPE_CHECKING:
    from bench.results.study_blocks import StudyBlock


@dataclass(frozen=True)
class StudyRun:
    """What is asked for: which blocks of which study, from which images, where to.

    Attributes:
        study: its name, or the path of its TOML file.
        cells: names or patterns of cells; none: all.
        groups: names of groups; none: all.
        source: of images.
        output: folder of studies.
        submissions: folder of studies that are there already; None: none.
        device: "cpu" or "cuda".
        workers: processes on this machine.
        threads: of torch, in each; None: the machine's, divided among the workers.
    """

    study: str
    cells: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    source: Source = field(default_factory=Source)
    output: str = str(OUTPUT)
    submissions: str | None = str(SUBMITTED)
    device: str = "cpu"
    workers: int = 1
    threads: int | None = None

    def shelf(self) -> Shelf:
        """Return where its blocks are looked for."""
        folders = [Path(self.output)]
        if self.submissions is not None:
            folders.append(Path(self.submissions))
        return Shelf(registry.study(self.study), folders, self.source.limit)

    def blocks(self) -> list[Block]:
        """Return the blocks that were asked for, in their order."""
        return chosen(registry.study(self.study), self.cells, self.groups)


class Progress:
    """Is told how a run goes; this one keeps quiet."""

    def begin(self, block: str, place: int, count: int) -> None:
        """A block is begun: number `place`, 1 for the first, of the `count` that are missing."""

    def through(self, doing: str, share: float) -> None:
        """What is done now, and which share of the block is done, in [0, 1]."""

    def end(self, block: str, seconds: float) -> None:
        """A block is finished and on the disk."""


def run(asked: StudyRun, progress: Progress | None = None, timing: Timing | None = None) -> int:
    """Run what is missing; return how many blocks this process has finished.

    Raises:
        BenchError: the study, images or place are not usable; finished blocks are kept.
        KeyboardInterrupt: passed on; what is done of the block is kept too.
    """
    import torch

    from bench.run.choose import choose_device
    from bench.run.machine import keep_freed_memory, threads
    from bench.studies.workers import Workers

    folder = local_folder(asked.output)
    shelf, blocks = asked.shelf(), asked.blocks()
    files = LocalFiles(folder)
    files.prepare()
    choose_device(asked.device)
    if asked.device == "cpu":
        keep_freed_memory()
    if not shelf.missing(blocks):
        return 0
    for block in blocks:
        _must_not_mix(asked, block)
    count = asked.threads or max(1, torch.get_num_threads() // asked.workers)
    with Workers(asked, count), threads(count):
        return _Worker(asked, shelf, files, timing or Timing()).work(blocks, progress or Progress())


def _must_not_mix(asked: StudyRun, block: Block) -> None:
    """Raise if a trial would replace a block of all images, or the other way round."""
    path = study_blocks.block_file(Path(asked.output), block.cells[0].study, block.name)
    try:
        there = study_blocks.metadata(path).get("limit")
    except BenchError:
        return  # there is none, or it can't be read
    if there != asked.source.limit:
        wanted, found = (
            "all images" if n is None else f"the first {n} images"
            for n in (asked.source.limit, there)
        )
        raise BenchError(
            f"expected blocks of {wanted} in {asked.output}, found one of {found}, "
            f"{path.name}; choose another --output, so that neither replaces the other"
        )


class _Worker:
    """One process of a run."""

    def __init__(self, asked: StudyRun, shelf: Shelf, files: LocalFiles, timing: Timing) -> None:
        self.asked, self.shelf, self.files, self.timing = asked, shelf, files, timing
        self.folder = f"{shelf.study.name}/{WORK}"

    def work(self, blocks: Sequence[Block], progress: Progress) -> int:
        """Take block after block until none is missing."""
        done, wait = 0, self.timing.poll
        with Presence(self.files, self.folder, self.timing.beat) as presence:
            watch = Watch(self.files, self.folder, self.timing.stale, self.timing.clock)
            claims = Claims(self.files, presence.id, watch)
            try:
                while missing := self.shelf.missing(blocks):
                    if self._one(missing, claims, progress, done):
                        done, wait = done + 1, self.timing.poll
                        continue
                    self.timing.sleep(wait)
                    wait = min(2 * wait, self.timing.longest)
            finally:
                claims.release()
                presence.end()
                self._tidy(watch, presence.id)
        return done

    def _tidy(self, watch: Watch, me: str) -> None:
        """Remove what processes that died have left, if nobody else is at work; no block's work."""
        keys = self.files.keys(self.folder)
        if watch.others(me):
            return
        for key in keys:
            if key.startswith(f"{self.folder}/workers/") or ".claim." in key:
                self.files.delete(key)
        self.files.sweep(self.folder)

    def _one(self, missing: Sequence[Block], claims: Claims, progress: Progress, done: int) -> bool:
        """Run the first missing block that nobody else runs; False if there is none."""
        keys = self.files.keys(self.folder)
        for block in missing:
            name = f"{self.folder}/{block.name}"
            if not claims.take(name, keys):
                continue
            if self.shelf.find(block) is None:
                progress.begin(block.name, done + 1, done + len(missing))
                begin = time.monotonic()
                self._write(block, self._finished(block, progress))
                progress.end(block.name, time.monotonic() - begin)
            claims.release(name)
            return True
        return False

    def _finished(self, block: Block, progress: Progress) -> StudyBlock:
        from bench.studies.work import finished

        return finished(
            self.shelf.study,
            block,
            self._place(block),
            self.asked.source,
            self.asked.device,
            progress.through,
        )

    def _place(self, block: Block) -> Path:
        """Return the folder of a block's work: what another version has left is not taken."""
        identity = block.identity_of(self.asked.source.limit)
        return self.files.path(f"{self.folder}/{block.name}-{identity[:8]}")

    def _write(self, block: Block, found: StudyBlock) -> None:
        """Write the block, then remove its work; both stay if a trial has come to its place."""
        _must_not_mix(self.asked, block)
        with self.files.put(f"{self.shelf.study.name}/{block.name}.parquet") as stream:
            study_blocks.write(stream, found)
        assert self.shelf.find(block) is not None, "what was written is what was asked for"
        shutil.rmtree(self._place(block), ignore_errors=True)
