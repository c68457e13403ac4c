"""What grows does not invalidate what exists: metrics, attack keys, algorithms, versions."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import REPOSITORY

import bench
from bench.entries import registry
from bench.entries.protocol import Protocol
from bench.metrics import METRICS, NORMS, Missing, by_name, definitions, readable
from bench.results import schema
from bench.results.metadata import Metadata, from_bytes
from bench.results.written import current_metadata, current_rows, settings_as_written

SUBMISSIONS = REPOSITORY / "submissions"
FILES = sorted(p for p in SUBMISSIONS.glob("caro2024/*/*.parquet") if ".extras." not in p.name)
MODEL = "fashionmnist-local-conv"


def stated(path: Path) -> dict[str, Any]:
    """What a result says of itself, in the present form."""
    return current_metadata(json.loads(pq.read_schema(path).metadata[b"bench"]))


def results() -> list[Path]:
    """The results in this repository that are no further seed and no untrained twin."""
    found = [p for p in SUBMISSIONS.glob("*/*/*.parquet") if "@" not in p.name]
    found = [p for p in found if p.parts[-3] not in ("probes", "studies")]
    return [p for p in found if not p.name.endswith((".extras.parquet", ".challenge.parquet"))]


def grown(verb: str, folder: Path) -> dict[str, Any]:
    """What the extended package of `tests/grown.py` says."""
    script = [sys.executable, str(REPOSITORY / "tests" / "grown.py"), verb, str(folder)]
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(script, capture_output=True, text=True, check=False, env=paths)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_metric_a_key_and_an_algorithm_more_leave_every_submission_right() -> None:
    found = grown("check", SUBMISSIONS)
    assert found["problems"] == []
    for name in registry.protocol_names():
        for dataset in registry.dataset_names():
            wanted = registry.protocol(name).hash(dataset)
            assert found["hashes"][f"{name} {dataset}"] == wanted
    # the board has them all, whether their protocol ranks or not
    assert len(results()) >= 26
    assert sorted(found["passing"]) == sorted(p.stem for p in results())
    # the first two files are held against each other in what both state
    both = set(readable(stated(FILES[0])["metrics"])) & set(readable(stated(FILES[1])["metrics"]))
    numbers = {m.name for m in both if m.length is None}
    assert "rfc" in numbers
    assert set(found["compared"]) == numbers | {"success"}
    # the board shows the new metric, and has nothing to show of it yet
    place = found["columns"].index("r2")
    assert found["columns"][place : place + 3] == ["r2", "r2_low", "r2_high"]
    assert set(found["r2"]) == {""}


def version_1(path: Path, protocol: Protocol, earlier: str) -> None:
    """Write a result again as version 1 did: no attack hashes, an earlier hash, metrics unstated,
    none of later.
    """
    table = pq.read_table(path)
    meta = json.loads(table.schema.metadata[b"bench"])
    for key in ("attack_hashes", "metrics"):
        del meta[key]
    attacks = {k: settings_as_written(v, 1) for k, v in protocol.attacks.items()}
    meta |= {"schema_version": 1, "protocol_hash": earlier, "attacks": attacks}
    place = table.schema.get_field_index("protocol_hash")
    names = pa.array([earlier] * len(table)).dictionary_encode()
    table = table.set_column(place, "protocol_hash", names)
    table = table.drop(["attack_hash", *(m.name for m in METRICS if m.since > 1)])
    pq.write_table(table.replace_schema_metadata({b"bench": json.dumps(meta)}), path)


@pytest.fixture
def old_result(quick_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A result of version 1 with one of five attacks, under a hash that still holds."""
    home = tmp_path / "registry"
    shutil.copytree(quick_folder, home, symlinks=True)
    earlier = "ab" * 32
    (home / "earlier-hashes.toml").write_text(f'[quick]\nfashionmnist = ["{earlier}"]\n')
    monkeypatch.setenv("BENCH_REGISTRY", str(home))
    folder = tmp_path / "results"
    bench.evaluate(MODEL, protocol="quick", attacks=["pgd-linf"], output=folder)
    version_1(result(folder), registry.protocol("quick"), earlier)
    return folder


def result(folder: Path) -> Path:
    return folder / "quick" / "fashionmnist" / f"{MODEL}.parquet"


def test_one_more_attack_goes_into_a_result_of_version_1(old_result: Path) -> None:
    before = pq.read_table(result(old_result)).to_pandas()
    # what is there is used as it is
    again = bench.evaluate(MODEL, protocol="quick", attacks=["pgd-linf"], output=old_result)
    assert (again["rfc"].dropna().to_numpy() == before["rfc"].dropna().to_numpy()).all()
    found = grown("merge", old_result)
    assert np.allclose(np.array(found["rfc"]) ** 2, found["r2"], equal_nan=True)
    after = pq.read_table(result(old_result)).to_pandas()
    assert after["attack"].value_counts().to_dict() == {"pgd-linf": 48, "pgd-l2": 48}
    old = after[after["attack"] == "pgd-linf"].reset_index(drop=True)
    for name in (*definitions(1), "sample_id", "status", "success", "adv_pred"):
        for was, now in zip(before[name], old[name], strict=True):
            np.testing.assert_array_equal(now, was, err_msg=name)
    assert old["r2"].isna().all()
    protocol = registry.protocol("quick")
    for name in ("pgd-linf", "pgd-l2"):
        hashes = set(after["attack_hash"][after["attack"] == name])
        assert hashes == {protocol.attack_hash("fashionmnist", name)}
    assert set(after["protocol_hash"]) == {protocol.hash("fashionmnist")}
    meta = from_bytes(pq.read_schema(result(old_result)).metadata[b"bench"], "x")
    assert (meta.schema_version, meta.metrics["r2"]) == (2, 1)


# ---------------------------------------------------------------- the table of metrics


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_row_keeps_to_what_its_metric_says(path: Path) -> None:
    """Ranges and gaps as METRICS states them, against what was really measured: of the metrics
    that the file has in their present meaning.
    """
    rows = pq.read_table(path).to_pandas()
    measured = ~rows["status"].isin(schema.UNMEASURED)
    zero = rows["l0"] == 0
    spectrum = measured & ~zero & ~(rows["dc_share"] >= 1 - 1e-12)
    has = {
        Missing.NEVER: measured,
        Missing.ZERO_DELTA: measured & ~zero,
        Missing.NO_POWER: spectrum,
        Missing.ZERO_GRADIENT: measured & (rows["zero_grad"] != True),  # noqa: E712
        Missing.FLAT_IMAGE: measured,
    }
    known = readable(stated(path)["metrics"])
    assert {"l2", "rfc"} <= {m.name for m in known}
    for metric in known:
        column = rows[metric.name]
        there = column.notna()
        assert (there == has[metric.missing]).all(), metric.name
        values = np.stack(column[there]).astype(float) if there.any() else np.zeros((0, 1))
        finite = values[np.isfinite(values)]
        assert metric.gaps or finite.size == values.size, metric.name
        assert (finite >= metric.low - 0.02).all(), metric.name
        assert (finite <= metric.high + 1e-3).all(), metric.name
        assert values.ndim == (1 if metric.length is None else 2)


def test_the_table_is_whole() -> None:
    names = [m.name for m in METRICS]
    assert len(set(names)) == len(names)
    assert set(NORMS) <= set(names)
    assert [m.since for m in METRICS] == sorted(m.since for m in METRICS)
    assert {f.name for f in schema.ROWS} >= set(names)


def test_a_column_of_another_definition_is_missing() -> None:
    path = FILES[0]
    meta = stated(path)
    other = {**meta, "metrics": {**meta["metrics"], "hfe": 7}}
    assert set(readable(meta["metrics"])) - set(readable(other["metrics"])) == {by_name()["hfe"]}
    rows = current_rows(pq.read_table(path), other)
    assert rows["hfe"].null_count == len(rows)
    assert rows["rfc"].null_count < len(rows)


# ---------------------------------------------------------------- metadata


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_metadata_of_version_1_is_read_through_the_same_model(path: Path) -> None:
    raw = pq.read_schema(path).metadata[b"bench"]
    found = from_bytes(raw, str(path))
    said = json.loads(raw)
    assert found.as_json() == {**said, "metrics": definitions(1), "attack_hashes": {}}
    now = Metadata.of(current_metadata(said), "x")
    known = registry.protocol("caro2024")
    assert now.protocol_hash == known.hash("fashionmnist")
    assert now.attack_hashes == {a: known.attack_hash("fashionmnist", a) for a in known.attacks}


def test_unknown_keys_of_later_are_kept() -> None:
    said = json.loads(pq.read_schema(FILES[0]).metadata[b"bench"])
    said["later"] = {"x": [1, "y"]}
    said["weights"]["later"] = 1
    found = Metadata.of(said, "x").as_json()
    assert found["later"] == {"x": [1, "y"]}
    assert found["weights"]["later"] == 1
