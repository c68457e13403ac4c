"""The torch side of `bench verify`: measuring chosen rows of a submission again."""

from __future__ import annotations

import hashlib
import platform
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.entries import registry
from bench.entries.rules import rules
from bench.errors import BenchError, BenchWarning
from bench.measure.block import block_samples, run_block
from bench.results.address import ModelName
from bench.results.columns import read_columns
from bench.results.identity import change
from bench.results.metadata import Metadata
from bench.results.provenance import now, versions
from bench.results.read import file_sha256, open_submission
from bench.run.open import Opened, open_model
from bench.run.pace import pace_of, paced
from bench.run.request import Request
from bench.run.run import description
from bench.submissions.verify.judge import (
    Look,
    Values,
    Verdict,
    choose,
    conclude,
    row_values,
    verify_rows,
)
from bench.submissions.verify.records import Record

COLUMNS = ("attack", "sample_id", "label", "clean_pred", "success", "status", "rfc")
NORMS = ("l1", "l2", "linf")


@dataclass(frozen=True)
class Verification:
    """What one verification found.

    Attributes:
        verdicts: one for each row that was measured again.
        total: rows of the file.
        record: what goes beside the file.
    """

    verdicts: tuple[Verdict, ...]
    total: int
    record: Record


def verify(path: Path, samples: int, secret: str, who: str, request: Request) -> Verification:
    """Measure a random choice of a file's rows again.

    Args:
        path: the submission.
        samples: how many rows.
        secret: of the verifier; with the file's hash it chooses the rows.
        who: name for the record.
        request: how to measure here: weights, data, device, output; the rest is the file's.

    Raises:
        BenchError: the file is not a submission, or its weights or images are not at hand here.
    """
    metadata = open_submission(path).metadata
    digest = file_sha256(path)
    opened, found = _open(path, metadata, request)
    stated = _stated(path, opened)
    chosen = choose(sorted(stated), samples, digest, secret)
    verdicts = verify_rows(stated, chosen, _Measure(opened))
    count = {
        name: sum(v.outcome == name for v in verdicts)
        for name in ("reproduced", "unsettled", "contradicted")
    }
    record = Record(
        who=who,
        when=now(),
        file_sha256=digest,
        secret_sha256=hashlib.sha256(secret.encode()).hexdigest(),
        hardware=f"{found['device']}, {platform.machine()} {platform.system()}"[:200],
        versions={key: value[:60] for key, value in versions().items()},
        rows=len(verdicts),
        of_rows=len(stated),
        reproduced=count["reproduced"],
        unsettled=count["unsettled"],
        contradicted=count["contradicted"],
        verdict=conclude(len(verdicts), count["unsettled"], count["contradicted"]),
    )
    return Verification(tuple(verdicts), len(stated), record)


def _model(name: str) -> str:
    """Return the entry's name: with its training seed if that is listed, else by --weights."""
    found = ModelName.parse(name)
    listed = found.seed is not None and registry.model(found.entry).seed_of(found.seed) is not None
    return f"{found.entry}@seed{found.seed}" if listed else found.entry


def _open(path: Path, metadata: Metadata, request: Request) -> tuple[Opened, dict[str, Any]]:
    """Return the file's model, opened here at the file's batch size, and its metadata."""
    opened = open_model(
        request.but(
            model=_model(metadata.model),
            protocol=metadata.protocol,
            weights="random" if metadata.control else request.what.weights,
        )
    )
    here = description(opened)
    batch = metadata.batch_size
    size = batch if batch is not None and batch <= 4096 else None
    pace = pace_of(opened.job, opened.ids, here["weights_sha256"], size, None)
    opened = replace(opened, job=paced(opened.job, pace, opened.ids))
    known = rules(opened.protocol.name, opened.dataset.name)
    for key, what, remedy in (
        ("protocol_hash", "protocol", "check out the commit that it was measured with"),
        ("weights_sha256", "weights", "name the file that was measured with --weights"),
        ("data_fingerprint", "images", "name the right data with --data-dir"),
    ):
        wanted, found = getattr(metadata, key), here[key]
        if wanted != found and (key != "protocol_hash" or wanted not in known.hashes):
            raise BenchError(
                f"expected the {what} of {path} ({str(wanted)[:12]}), found others here "
                f"({str(found)[:12]}); {remedy}"
            )
    other = change(metadata.as_json(), here)
    if other is not None:
        warnings.warn(f"not the model of {path}: {other}", BenchWarning, stacklevel=2)
    return opened, here


def _stated(path: Path, planned: Opened) -> dict[tuple[str, int], Values]:
    table = read_columns(path, [*COLUMNS, *NORMS])
    columns = {name: table[name] for name in table.names}
    specs = {**planned.protocol.attacks, **planned.protocol.witnesses}
    stated = {}
    for place in range(len(table)):
        attack, sample = str(columns["attack"][place]), int(columns["sample_id"][place])
        if attack not in specs or sample not in planned.ids:
            raise BenchError(
                f"expected rows of the protocol in {path}, found {attack!r}, {sample}; see "
                "`bench check`"
            )
        stated[attack, sample] = row_values(columns, place, specs[attack].norm)
    return stated


class _Measure:
    """Measures rows with an opened model and its images."""

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        self.attacks = {**opened.protocol.attacks, **opened.protocol.witnesses}
        self.job = replace(opened.job, attacks=self.attacks)

    def __call__(self, attack: str, ids: Sequence[int], how: Look) -> dict[int, Values]:
        job, wanted = self.job, list(ids)
        if how == "as measured":
            # the same block, so the same batches, as the run that is verified
            size = block_samples(job.batch_size)
            everyone = self.opened.ids
            blocks = [everyone[i : i + size] for i in range(0, len(everyone), size)]
            wanted = next(list(block) for block in blocks if ids[0] in block)
        block = run_block(job, attack, wanted)
        norm = self.attacks[attack].norm
        place = {sample: i for i, sample in enumerate(block.sample_ids)}
        return {i: row_values(block.columns, place[i], norm) for i in ids}
