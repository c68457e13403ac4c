"""Checking a study's block: is it what the registry's study says, and do its numbers fit?"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
from pydantic import ValidationError

from bench.entries import registry
from bench.entries.factors import PLANTED_EPOCH
from bench.entries.read import first_problem
from bench.entries.study import Block, Cell, Study
from bench.errors import BenchError
from bench.results import study_blocks
from bench.results.columns import Columns
from bench.results.study_blocks import STUDIES
from bench.results.study_metadata import BlockFacts, CellFacts, CurveRow
from bench.submissions.check.copies import Sketch
from bench.submissions.check.footer import (
    check_columns,
    open_checked,
    read_columns,
    read_metadata_text,
)
from bench.submissions.check.places import Place
from bench.submissions.check.problems import Findings, Problem, printable
from bench.submissions.check.study_rows import check_cell_rows

REMAKE = "run it again with `bench study run` and `bench study submit`"
SAME_ACCURACY = 0.1
"""Percentage points that the log and the measurement of one net may differ by."""


def check_block(place: Place) -> list[Problem]:
    """Return every problem of one block's file."""
    return judge_block(place)[0]


def judge_block(place: Place) -> tuple[list[Problem], Sketch | None]:
    """Return every problem of one block's file, and what tells it from copies."""
    findings = Findings(str(place.path))
    wanted = _wanted(place, findings)
    if wanted is None:
        return findings.problems, None
    study, block = wanted
    most = sum(cell.samples_at(epoch) for cell in block.cells for epoch in cell.checkpoints)
    file = open_checked(place.path, most, findings)
    if file is None or not check_columns(file, study_blocks.STORED, findings):
        return findings.problems, None
    facts = _facts(read_metadata_text(file.declared_metadata, findings), findings)
    if facts is None:
        return findings.problems, None
    _check_facts(facts, study, block, findings)
    rows = read_columns(file, findings)
    if rows is None or findings.problems:
        return findings.problems, None
    _check_rows(rows, facts, block, findings)
    return findings.problems, _sketch(place, facts, rows)


def _sketch(place: Place, facts: BlockFacts, rows: Columns) -> Sketch:
    """Return the hashes of each cell's last weights and rows, which no other cell may have."""
    hashes = []
    for name, cell in facts.cells.items():
        if cell.diverged is not None:
            continue  # untrained nets of one seed are the same at every rate
        last = (rows["cell"] == name) & (rows["epoch"] == cell.points[-1].epoch)
        numbers = np.stack([rows["l2"][last], rows["rfc"][last]]).astype("<f4")
        hashes += [cell.points[-1].sha256, hashlib.sha256(numbers.tobytes()).hexdigest()]
    nothing = np.zeros((2, 0), dtype=np.float32)
    return Sketch(str(place.path), STUDIES, place.name, tuple(sorted(hashes)), nothing)


def _wanted(place: Place, findings: Findings) -> tuple[Study, Block] | None:
    """Return the registry's study and block of a place."""
    try:
        study = registry.study(place.dataset)
    except BenchError as error:
        findings.add("", f"expected a study of the registry: {error}", "move it")
        return None
    block = next((b for b in study.blocks() if b.name == place.name), None)
    if block is None:
        text = f"expected a block of study {study.name}, found {printable(place.name)!r}"
        findings.add("", text, "remove it, or add its cells to the study")
        return None
    return study, block


def _facts(found: dict[str, Any] | None, findings: Findings) -> BlockFacts | None:
    if found is None:
        return None
    try:
        return BlockFacts.model_validate_json(json.dumps(found))
    except ValidationError as error:
        findings.add("metadata", first_problem(error, "the block"), REMAKE)
        return None


def _check_facts(facts: BlockFacts, study: Study, block: Block, findings: Findings) -> None:
    """Compare what the block says of itself with the registry."""
    if facts.limit is not None:
        text = f"expected all images, found a trial on the first {facts.limit}"
        findings.add("metadata limit", text, REMAKE)
    for key, wanted, found in (
        ("study", study.name, facts.study),
        ("block", block.name, facts.block),
        ("block_identity", block.identity, facts.block_identity),
        ("cells", sorted(cell.name for cell in block.cells), sorted(facts.cells)),
    ):
        if wanted != found:
            text = f"expected {wanted}, as the study has it, found {printable(str(found))[:200]}"
            findings.add(f"metadata {key}", text, REMAKE)
    for cell in block.cells:
        if cell.name in facts.cells:
            _check_cell(cell, facts.cells[cell.name], findings)


def _check_cell(cell: Cell, facts: CellFacts, findings: Findings) -> None:
    at = f"metadata cells.{cell.name}"
    same = {"study", "group"}  # of the registry now: a cell may move from group to group
    if facts.cell.model_dump(exclude=same) != cell.model_dump(exclude=same):
        findings.add(at, "expected the study's cell, found another", REMAKE)
    if facts.identity != cell.identity:
        findings.add(at, f"expected identity {cell.identity}, found {facts.identity}", REMAKE)
    hashed = registry.protocol(cell.protocol).attack_hash(cell.factors.dataset, cell.attack)
    if facts.attacks != {cell.attack: hashed}:
        findings.add(at, f"expected attacks {cell.attack} ({hashed[:16]}...), found others", REMAKE)
    if facts.affine == cell.factors.relu:
        findings.add(at, f"expected affine = {not cell.factors.relu}", REMAKE)
    _check_images(cell, facts, at, findings)
    _check_epochs(cell, facts, at, findings)


def _check_images(cell: Cell, facts: CellFacts, at: str, findings: Findings) -> None:
    """Compare both splits with the data set's entry, as far as it knows them."""
    factors = cell.factors
    if factors.data == "planted":
        counts = (max(factors.train_count or 0, PLANTED_EPOCH), facts.test.count)
    elif factors.data == "mnist-5000":
        counts = (4000, 1000)
    else:
        entry = registry.dataset(factors.dataset)
        counts = (factors.train_count or entry.train_count, entry.test_count)
        known = entry.fingerprints
        if factors.data == "natural" and factors.train_count is None and known is not None:
            for split, digest in (("train", known.train), ("test", known.test)):
                found = getattr(facts, split).fingerprint
                if digest is not None and found != digest:
                    text = f"expected fingerprint {digest} of {factors.dataset}, found {found}"
                    findings.add(f"{at}.{split}", text, REMAKE)
    for split, count in (("train", counts[0]), ("test", counts[1])):
        found = getattr(facts, split).count
        if count is not None and found != count:
            findings.add(f"{at}.{split}", f"expected {count} images, found {found}", REMAKE)


def _check_epochs(cell: Cell, facts: CellFacts, at: str, findings: Findings) -> None:
    """Check that curve and points are whole, and say the same where they meet."""
    stop = None if facts.diverged is None else facts.diverged.epoch
    epochs = cell.epochs if stop is None else stop - 1
    if [row.epoch for row in facts.curve] != list(range(1, epochs + 1)):
        found = f"{len(facts.curve)} epochs"
        findings.add(f"{at}.curve", f"expected epochs 1 to {epochs}, found {found}", REMAKE)
        return
    wanted = [e for e in cell.checkpoints if e <= epochs]
    if [point.epoch for point in facts.points] != wanted:
        findings.add(f"{at}.points", f"expected those after epochs {wanted}, found others", REMAKE)
        return
    rows: dict[int, CurveRow] = {row.epoch: row for row in facts.curve}
    for point in facts.points:
        row = rows.get(point.epoch)
        if row is not None and abs(row.test_accuracy - point.test_accuracy) > SAME_ACCURACY:
            text = (
                f"expected test accuracy {row.test_accuracy:.2f} % after epoch {point.epoch}, as "
                f"the curve has it, found {point.test_accuracy:.2f} %"
            )
            findings.add(f"{at}.points", text, REMAKE)
    drop = 0.3 ** ((epochs - 1) // 4) if epochs else 1.0
    if facts.curve and not _near(facts.curve[-1].learning_rate, cell.factors.learning_rate * drop):
        findings.add(f"{at}.curve", "expected the rate of the study's recipe, found another")


def _near(found: float, wanted: float) -> bool:
    return abs(found - wanted) <= 1e-3 * wanted + 1e-6


def _check_rows(rows: Columns, facts: BlockFacts, block: Block, findings: Findings) -> None:
    """Check the rows of each cell."""
    names = rows["cell"]
    known = [cell.name for cell in block.cells]
    bad = [str(name) not in known for name in names]
    if findings.rows(bad, "a cell of the block", names, REMAKE):
        return
    for cell in block.cells:
        check_cell_rows(cell, facts.cells[cell.name], rows, names == cell.name, findings)
