"""Witnesses: which samples they run on, and what a submission may hold of them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import board_cases as cases
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.attacks.brendel_bethge.settings import BrendelBethge
from bench.entries import registry
from bench.entries.attacks import attack_hash
from bench.entries.protocol import Protocol
from bench.entries.rules import Rules, rules
from bench.results.read import read_samples
from bench.submissions.check import check as module
from bench.submissions.check.check import check_submission, group
from bench.submissions.check.places import collect

CASE = cases.Case("fashionmnist-full-conv-relu")
WITNESS = BrendelBethge(norm="l2", steps=1000, learning_rate=1e-3, version=1, nearest_starts=3)


def with_witness(count: int = 128) -> Protocol:
    found = registry.protocol(cases.PROTOCOL)
    return found.model_copy(update={"witnesses": {"near-l2": WITNESS}, "witness_count": count})


def test_the_order_is_drawn_from_seed_and_id_alone() -> None:
    protocol = with_witness(5)
    order = protocol.witness_order("fashionmnist")
    assert sorted(order) == list(range(1000))
    drawn = {i: hashlib.sha256(f"2024 witness {i}".encode()).hexdigest() for i in range(1000)}
    assert list(order) == sorted(drawn, key=drawn.__getitem__)
    wrong = set(order[:3])
    assert protocol.witness_ids("fashionmnist", set(range(1000)) - wrong) == order[3:8]
    assert protocol.witness_ids("fashionmnist", {1, 2}) in {(1, 2), (2, 1)}
    other = protocol.model_copy(update={"seed": 1})
    assert other.witness_order("fashionmnist") != order


def test_witnesses_stand_in_no_hash() -> None:
    plain = registry.protocol(cases.PROTOCOL)
    assert with_witness().hash("fashionmnist") == plain.hash("fashionmnist")
    assert with_witness(7).hash("mnist") == plain.hash("mnist")


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Rules:
    before, protocol = rules(cases.PROTOCOL, cases.DATASET), with_witness()
    digest = attack_hash("near-l2", WITNESS, protocol.seed, before.ids)
    hashes = {**before.attack_hashes, "near-l2": digest}
    found = replace(before, protocol=protocol, attack_hashes=hashes)
    monkeypatch.setattr(module, "rules", lambda *_: found)
    return found


def problems(folder: Path, known: Rules, ids: list[int]) -> list[str]:
    """What is wrong with a submission that has witness rows of these ids."""
    columns = cases.rows(CASE)
    primary = np.flatnonzero(columns["attack"] == "bb-l2")
    more = primary[[int(i) for i in ids]]
    columns = {name: np.concatenate([v, v[more]]) for name, v in columns.items()}
    for name, value in (
        ("attack", "near-l2"),
        ("attack_hash", known.attack_hashes["near-l2"]),
    ):
        columns[name] = columns[name].astype(object)
        columns[name][5000:] = value
    attacks = {k: v.model_dump(mode="json") for k, v in known.everything.items()}
    meta = cases.metadata(CASE, attacks=attacks, attack_hashes=dict(known.attack_hashes))
    meta["present"]["near-l2"] = len(ids)
    table = cases.compact(cases.table(columns, meta))
    path = folder / cases.PROTOCOL / cases.DATASET / f"{CASE.name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    split = {f.name: "BYTE_STREAM_SPLIT" for f in table.schema if pa.types.is_float64(f.type)}
    words = [f.name for f in table.schema if pa.types.is_dictionary(f.type)]
    pq.write_table(table, path, compression="zstd", use_dictionary=words, column_encoding=split)
    places, found = collect([folder])
    for members in group(places):
        found += check_submission(members)
    return [str(problem) for problem in found]


def test_a_submission_holds_the_seeded_choice_or_the_beginning_of_it(
    tmp_path: Path, known: Rules
) -> None:
    columns = cases.rows(CASE)
    primary = columns["attack"] == "bb-l2"
    correct = set(columns["sample_id"][primary & columns["clean_correct"]].tolist())
    chosen = list(known.protocol.witness_ids(cases.DATASET, correct))
    assert len(chosen) == 128
    for ids in ([], chosen, chosen[:50]):
        assert problems(tmp_path, known, ids) == []
    # the board's numbers know nothing of them; what they found stands apart
    from bench.results.read import read

    path = next(tmp_path.rglob("*.parquet"))
    submission = replace(read(path)[0], rules=known)
    samples = read_samples(submission)
    assert samples.present.shape == (5, 1000)
    norms = samples.witnesses["near-l2"]
    assert set(np.flatnonzero(~np.isnan(norms))) == set(chosen[:50])
    primary = samples.norm[list(known.attacks).index("bb-l2")]
    np.testing.assert_allclose(norms[chosen[:50]], primary[chosen[:50]], rtol=1e-6)
    others = sorted(correct - set(chosen))
    words = "in the seeded order for near-l2"
    for ids in (others[:128], chosen[64:], chosen + others[:20]):
        assert any(words in text for text in problems(tmp_path, known, ids)), ids
