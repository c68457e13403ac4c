"""Where a study's blocks lie, and which of them are there."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.entries.study import Block, Study
from bench.errors import BenchError
from bench.results import study_blocks
from bench.results.study_blocks import StudyBlock

OUTPUT = Path("results/studies")
SUBMITTED = Path("submissions/studies")
WORK = "work"
"""Folder, below that of a study, of what is not finished."""


@dataclass
class Shelf:
    """The finished blocks of a study in some folders; the first that has a block counts.

    Args:
        study: whose.
        folders: of studies.
        limit: of a trial on the first images of either split only; None: none.
    """

    study: Study
    folders: Sequence[Path]
    limit: int | None = None
    _known: dict[Path, tuple[int, str | None]] = field(default_factory=dict)

    def find(self, block: Block) -> Path | None:
        """Return the file of a block that is finished and is what the study now says."""
        for folder in self.folders:
            path = study_blocks.block_file(folder, self.study.name, block.name)
            if self._identity(path) == block.identity_of(self.limit):
                return path
        return None

    def missing(self, blocks: Sequence[Block]) -> list[Block]:
        """Return which blocks are not there."""
        return [block for block in blocks if self.find(block) is None]

    def read(self, blocks: Sequence[Block]) -> Iterator[tuple[Block, StudyBlock]]:
        """Give the blocks that are there."""
        for block in blocks:
            path = self.find(block)
            if path is not None:
                yield block, study_blocks.read(path)

    def _identity(self, path: Path) -> str | None:
        """Return which block a file is; None if there is none or it can't be read."""
        try:
            version = path.stat().st_mtime_ns
        except OSError:
            return None
        if self._known.get(path, (None, None))[0] != version:
            try:
                found: str | None = study_blocks.metadata(path)["block_identity"]
            except BenchError:
                found = None
            self._known[path] = (version, found)
        return self._known[path][1]


def chosen(study: Study, cells: Sequence[str], groups: Sequence[str]) -> list[Block]:
    """Return the blocks that patterns choose, in the order in which they are run.

    Args:
        study: whose.
        cells: names or patterns of cells or blocks; none: all.
        groups: names of groups; none: all.

    Raises:
        BenchError: a pattern or name chooses nothing.
    """
    known = [group.name for group in study.groups]
    for name in groups:
        if name not in known:
            raise BenchError(
                f"expected a group of study {study.name!r} ({', '.join(known)}), found {name!r}"
            )
    blocks = [b for b in study.blocks() if not groups or b.cells[0].group in groups]
    if not cells:
        return blocks
    taken: set[str] = set()
    for pattern in cells:
        names = {b.name for b in blocks if any(fnmatch.fnmatchcase(n, pattern) for n in _names(b))}
        if not names:
            of = f"group {' or '.join(groups)} of " if groups else ""
            raise BenchError(
                f"expected a cell of {of}study {study.name!r}, found {pattern!r}, which matches "
                f"none; `bench study plan {study.name} --list` shows all names"
            )
        taken |= names
    return [block for block in blocks if block.name in taken]


def _names(block: Block) -> list[str]:
    return [block.name, *(cell.name for cell in block.cells)]
