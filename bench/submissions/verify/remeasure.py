"""The torch side of `bench verify`: measuring chosen rows of a submission again."""

from __future__ import annotations

import hashlib
import json
import platform
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.entries import registry
from bench.entries.rules import rules
from bench.errors import BenchError, BenchWarning
from bench.measure.block import run_block
from bench.results.address import ModelName, beside
from bench.results.block import block_samples
from bench.results.identity import change
from bench.results.metadata import Metadata
from bench.results.provenance import now, versions
from bench.results.read import file_sha256, open_submission
from bench.results.stated import stated_columns, stated_extras
from bench.run.open import Opened, open_model
from bench.run.pace import pace_of, paced
from bench.run.request import Request
from bench.run.run import description
from bench.submissions.check.problems import short
from bench.submissions.verify.judge import (
    COMPARED,
    Look,
    Values,
    Verdict,
    choose,
    conclude,
    row_values,
    verify_rows,
)
from bench.submissions.verify.records import Record
from bench.submissions.verify.side_file import Pictures

Array = npt.NDArray[Any]

FACTS = (
    "n_params",
    "input_shape",
    "native_size",
    "family",
    "type",
    "control",
    "seed",
    "preprocessing",
)
"""What the metadata say and the board may show, and is known here again."""
REQUIRED = ("n_params", "input_shape")
"""Facts that every file states; others are compared where they are stated."""


@dataclass(frozen=True)
class Verification:
    """What one verification found.

    Attributes:
        verdicts: one for each row that was drawn.
        others: what else was compared and differs, a line each.
        compared: what else was compared, in words.
        total: rows of the file.
        record: what goes beside the file.
    """

    verdicts: tuple[Verdict, ...]
    others: tuple[str, ...]
    compared: str
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
    opened, here = _open(path, metadata, request)
    stated = _stated(path, opened, metadata)
    extras = beside(path, "extras")
    shown = Pictures(opened, stated_extras(extras), stated)
    drawn = set(choose(sorted(stated), samples, digest, secret))
    measure = Measure(opened)
    verdicts = verify_rows(stated, sorted(drawn | shown.examples), measure)
    of_examples = [v for v in verdicts if (v.attack, v.sample_id) in shown.examples]
    verdicts = [v for v in verdicts if (v.attack, v.sample_id) in drawn]
    others = (
        *facts(metadata.as_json(), here),
        *(f"row of an example image: {v}" for v in of_examples if v.outcome == "contradicted"),
        *shown.problems(measure.deltas),
    )
    record = _record(verdicts, others, len(stated), str(here["device"])).model_copy(
        update={
            "who": who,
            "file_sha256": digest,
            "extras_sha256": file_sha256(extras) if extras.exists() else None,
            "secret_sha256": hashlib.sha256(secret.encode()).hexdigest(),
        }
    )
    compared = (
        f"columns {', '.join(COMPARED)}; metadata {', '.join(FACTS)}; {len(of_examples)} example "
        f"images in full; mean maps of {len(shown.maps)} attacks by what a sample can show"
    )
    return Verification(tuple(verdicts), others, compared, len(stated), record)


def _record(verdicts: Sequence[Verdict], others: Sequence[str], total: int, device: str) -> Record:
    reproduced, unsettled, contradicted = (
        sum(v.outcome == name for v in verdicts)
        for name in ("reproduced", "unsettled", "contradicted")
    )
    return Record(
        who="",
        when=now(),
        file_sha256="0" * 64,
        secret_sha256="0" * 64,
        hardware=f"{device}, {platform.machine()} {platform.system()}"[:200],
        versions={key: value[:60] for key, value in versions().items()},
        rows=len(verdicts),
        of_rows=total,
        reproduced=reproduced,
        unsettled=unsettled,
        contradicted=contradicted,
        others=tuple(text[:200] for text in others[:20]),
        verdict=conclude(len(verdicts), unsettled, contradicted, len(others)),
    )


def facts(metadata: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Return which facts of the metadata are not what is known here, a line each."""
    lines = []
    for name in FACTS:
        if name not in metadata and name not in REQUIRED:
            continue
        said, here = metadata.get(name), found[name]
        if isinstance(said, dict) and isinstance(here, dict):
            # versions of a library may state more or fewer settings
            said, here = ({k: v[k] for k in v if k in said and k in here} for v in (said, here))
        # JSON has no integers apart from floats, and no tuples
        if json.dumps(said, sort_keys=True) != json.dumps(here, sort_keys=True):
            lines.append(f"metadata {name}: the file says {short(said)}; found {short(here)}")
    return lines


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


def _stated(path: Path, opened: Opened, metadata: Metadata) -> dict[tuple[str, int], Values]:
    columns = stated_columns(path, metadata.metrics)
    known = {**opened.protocol.attacks, **opened.protocol.witnesses}
    whole = {opened.protocol.primary_attack} if "@" not in metadata.model else set()
    stated = {}
    for place, (name, sample) in enumerate(
        zip(columns["attack"].tolist(), columns["sample_id"].tolist(), strict=True)
    ):
        if name not in known or sample not in opened.ids:
            raise BenchError(
                f"expected rows of the protocol in {path}, found {short(name)}, {sample}; see "
                "`bench check`"
            )
        values = row_values(columns, place)
        if metadata.schema_version > 1 and name not in whole:
            # a lean file has no profiles of its own here
            values = {key: value for key, value in values.items() if np.ndim(value) == 0}
        stated[name, sample] = values
    return stated


class Measure:
    """Measures rows with an opened model and its images, and keeps the perturbations."""

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        attacks = {**opened.protocol.attacks, **opened.protocol.witnesses}
        self.job = replace(opened.job, attacks=attacks)
        self.deltas: dict[tuple[str, int], list[Array]] = {}

    def __call__(self, attack: str, ids: Sequence[int], how: Look) -> dict[int, Values]:
        job, wanted = self.job, list(ids)
        if how == "as measured":
            # the same block, so the same batches, as the run that is verified
            size = block_samples(job.batch_size)
            everyone = self.opened.ids
            blocks = [everyone[i : i + size] for i in range(0, len(everyone), size)]
            wanted = next(list(block) for block in blocks if ids[0] in block)
        block = run_block(job, attack, wanted, keep_deltas=True)
        assert block.deltas is not None, "they were asked for"
        for sample, delta in zip(block.delta_ids, block.deltas, strict=True):
            if sample in ids:
                self.deltas.setdefault((attack, sample), []).append(delta)
        place = {sample: i for i, sample in enumerate(block.sample_ids)}
        return {i: row_values(block.columns, place[i]) for i in ids}
