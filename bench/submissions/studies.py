"""Finished blocks of a study into the folder of submissions."""

from __future__ import annotations

from pathlib import Path

from bench.entries.study import Study
from bench.errors import BenchError
from bench.files import write_bytes
from bench.results.study_blocks import STUDIES, block_file, metadata
from bench.submissions.check.places import Place
from bench.submissions.check.study_block import check_block


def submit_blocks(study: Study, output: Path, submissions: Path) -> list[Path]:
    """Check a study's blocks and copy those that are not in the folder of submissions yet.

    Args:
        study: whose.
        output: folder that `bench study run` wrote to.
        submissions: of this project.

    Returns:
        The files that were written: blocks that were not there, or were of another plan.

    Raises:
        BenchError: there is no block, or one has a problem; nothing is copied.
    """
    new: list[tuple[Path, bytes]] = []
    if not any(block_file(output, study.name, block.name).exists() for block in study.blocks()):
        raise BenchError(
            f"expected finished blocks of study {study.name!r} in {output}, found none; run some "
            "with `bench study run`, or name their folder"
        )
    for block in study.blocks():
        path = block_file(output, study.name, block.name)
        if not path.exists():
            continue
        problems = check_block(Place(path, STUDIES, study.name, block.name, ".parquet"))
        if problems:
            raise BenchError(str(problems[0]))
        target = block_file(submissions / STUDIES, study.name, block.name)
        if _identity(target) != block.identity:  # a second run of the same changes nothing
            new.append((target, path.read_bytes()))
    for target, content in new:
        write_bytes(target, content)
    return [target for target, _ in new]


def _identity(path: Path) -> str | None:
    try:
        return str(metadata(path)["block_identity"])
    except BenchError:
        return None
