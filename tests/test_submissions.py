"""Submitting, comparing, and verifying for real: a short measurement measured again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import board_cases as cases
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import scipy.stats
from conftest import REPOSITORY

from bench.board.build import build
from bench.board.compare import compare, open_pair, resolve
from bench.board.spectra import profiles
from bench.cli.compare import compare as compare_command
from bench.cli.submit import submit as submit_command
from bench.cli.verify import verify as verify_command
from bench.entries import registry
from bench.entries.model import TrainingSeed
from bench.entries.rules import rules
from bench.errors import BenchError
from bench.results import schema
from bench.results.compact import compact_rows, write_extras, write_rows
from bench.results.store import read_metadata
from bench.submissions.check.check import check_submission, group
from bench.submissions.check.places import FULL_BYTES, LEAN_BYTES, collect
from bench.submissions.submit import submit

pytestmark = pytest.mark.usefixtures("caro_ranks")

KINDS = (".toml", ".safetensors", ".parquet", ".extras.parquet")

FIRST, SECOND = cases.CASES[2], cases.CASES[5]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    for case in (FIRST, SECOND):
        cases.write(folder, case)
    return folder


# ---------------------------------------------------------------- submit


def test_a_submission_is_small_right_and_the_same_numbers(tmp_path: Path, results: Path) -> None:
    source = resolve(FIRST.name, [results])
    written, problems = submit(source, tmp_path)
    assert problems == []
    assert [path.name for path in written] == [
        f"{FIRST.name}.parquet",
        f"{FIRST.name}.extras.parquet",
    ]
    assert sum(path.stat().st_size for path in written) <= FULL_BYTES
    before, after = pq.read_table(source), pq.read_table(written[0])
    assert pa.types.is_float16(after.schema.field("radial_energy").type.value_type)
    primary = before["attack"].cast(pa.string()).to_numpy() == "bb-l2"
    for name in before.column_names:
        was, now = before[name].to_pandas(), after[name].to_pandas()
        if name in ("radial_energy", "log_luma_profile"):
            there = before[name].is_valid().to_numpy() & primary
            assert (after[name].is_valid().to_numpy() == there).all()
        elif pa.types.is_float64(before.schema.field(name).type):
            np.testing.assert_array_equal(now[primary], was[primary])
            np.testing.assert_array_equal(now[~primary], was[~primary].astype("f4").astype("f8"))
        else:
            np.testing.assert_array_equal(now, was)
    places, _ = collect([tmp_path])
    assert [check_submission(members) for members in group(places)] == [[]]


def test_other_attacks_keep_their_mean_profiles(tmp_path: Path, results: Path) -> None:
    source = resolve(FIRST.name, [results])
    written, _ = submit(source, tmp_path)
    means = pq.read_table(written[1]).to_pandas().query("kind == 'radial_energy'")
    assert sorted(means["attack"]) == ["bb-linf", "pgd-l1", "pgd-l2", "pgd-linf"]
    rows = pq.read_table(source).to_pandas().query("success")
    for _, mean in means.iterrows():
        of_attack = np.stack(rows["radial_energy"][rows["attack"] == mean["attack"]])
        assert mean["n"] == len(of_attack)
        np.testing.assert_allclose(mean["values"], of_attack.mean(axis=0), atol=1e-6)
    # the board draws them, without a band
    (table,) = build(tmp_path).tables
    found = profiles(table.rows[0].model.submission, ["bb-l2", "pgd-l2"])
    assert np.isfinite(found["bb-l2"].low).all()
    assert np.isnan(found["pgd-l2"].low).all()
    full = profiles(open_pair(source, source)[0], ["pgd-l2"])["pgd-l2"]
    np.testing.assert_allclose(found["pgd-l2"].mean, full.mean, rtol=1e-4)


@pytest.mark.parametrize("name", [f"{SECOND.name}@random", f"{SECOND.name}@seed3"])
def test_twins_and_seeds_hold_the_primary_attack_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    case = cases.Case(name, accuracy=0.9)
    source = cases.write(tmp_path / "results", case)
    digest = cases.metadata(case)["weights_sha256"]
    seed = TrainingSeed(seed=3, sha256=digest, test_accuracy=80.0, epochs=16, command="bench train")
    entry = registry.model(SECOND.name).model_copy(update={"seeds": (seed,)})
    monkeypatch.setattr(registry, "model", lambda _: entry)
    written, problems = submit(source, tmp_path / "submissions")
    assert [str(p) for p in problems] == []
    assert sum(path.stat().st_size for path in written) <= LEAN_BYTES
    rows, side = (pq.read_table(path).to_pandas() for path in written)
    assert set(rows["attack"]) == {"bb-l2"}
    assert rows["radial_energy"].isna().all()
    assert rows["rfc"].notna().sum() == (rows["status"] != "clean_wrong").sum()
    assert sorted(side["kind"]) == ["log_luma_profile", "radial_energy", "spectrum"]
    assert read_metadata(written[0])["present"] == {"bb-l2": 1000}
    (table,) = build(tmp_path / "submissions").tables
    assert table.rows[0].model.attacks["bb-l2"].kept > 800
    reasons = ("untrained control",) if "@random" in name else ()
    assert table.rows[0].model.reasons == reasons
    # submitted once more, what is there goes through as it is
    again, problems = submit(written[0], tmp_path / "again")
    assert problems == []
    pd.testing.assert_frame_equal(pq.read_table(again[0]).to_pandas(), rows, check_exact=True)


def test_a_seed_that_is_not_listed_and_other_weights_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = cases.write(tmp_path / "results", cases.Case(f"{SECOND.name}@seed99"))
    _, problems = submit(source, tmp_path / "submissions")
    assert "a training seed that its entry lists (" in problems[0].text
    seed = TrainingSeed(seed=99, sha256="0" * 64, test_accuracy=80.0, epochs=16, command="x")
    entry = registry.model(SECOND.name).model_copy(update={"seeds": (seed,)})
    monkeypatch.setattr(registry, "model", lambda _: entry)
    _, problems = submit(source, tmp_path / "submissions")
    assert [p.where for p in problems] == ["metadata weights_sha256"]


def test_a_result_of_version_1_is_submitted_in_the_present_form(tmp_path: Path) -> None:
    old = REPOSITORY / "submissions" / "caro2024" / "fashionmnist"
    source = tmp_path / "results" / "caro2024" / "fashionmnist"
    source.mkdir(parents=True)
    for kind in ("parquet", "extras.parquet"):
        shutil.copy(old / f"{FIRST.name}.{kind}", source)
    written, problems = submit(source / f"{FIRST.name}.parquet", tmp_path / "submissions")
    assert problems == []
    assert sum(path.stat().st_size for path in written) <= FULL_BYTES
    known = rules("caro2024", "fashionmnist")
    hashes = pq.read_table(written[0]).to_pandas().groupby("attack", observed=True)["attack_hash"]
    assert hashes.unique().map(list).to_dict() == {k: [v] for k, v in known.attack_hashes.items()}
    assert read_metadata(written[0])["protocol_hash"] == known.hash


def test_random_numbers_still_fit(tmp_path: Path, results: Path) -> None:
    """The size limit holds for profiles that do not repeat from attack to attack."""
    table = pq.read_table(resolve(FIRST.name, [results]))
    rng = np.random.default_rng(0)
    arrays = []
    for field in table.schema:
        column = table[field.name].combine_chunks()
        if pa.types.is_float64(field.type):
            column = pc.if_else(pc.is_nan(column), column, pa.array(rng.random(len(table))))
        if pa.types.is_fixed_size_list(field.type):
            flat = pa.array(rng.random(len(table) * 64).astype(np.float32))
            gone = pa.array(column.is_null().to_numpy(zero_copy_only=False))
            column = pa.FixedSizeListArray.from_arrays(flat, type=field.type, mask=gone)
        arrays.append(column)
    source = tmp_path / cases.PROTOCOL / cases.DATASET / f"{FIRST.name}.parquet"
    source.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_arrays(arrays, schema=table.schema), source)
    target = tmp_path / "compact.parquet"
    rows, _ = compact_rows(source, rules(cases.PROTOCOL, cases.DATASET), FIRST.name)
    write_rows(rows, target, read_metadata(source))
    assert target.stat().st_size < FULL_BYTES


def test_where_things_lie_on_the_submitters_machine_is_left_out(tmp_path: Path) -> None:
    weights = {**cases.metadata(FIRST)["weights"], "where": "/home/ada/secret/net.safetensors"}
    source = cases.write(tmp_path / "results", FIRST, weights=weights, data={"source": "C:\\x\\y"})
    written, problems = submit(source, tmp_path / "submissions")
    assert problems == []
    text = json.dumps(read_metadata(written[0]))
    assert "secret" not in text
    assert "/home" not in text
    assert read_metadata(written[0])["weights"]["where"] == "net.safetensors"
    assert read_metadata(written[0])["data"]["source"] == "y"


def test_a_wrong_result_is_not_submitted(tmp_path: Path) -> None:
    source = cases.write(tmp_path / "results", FIRST, partial=True, complete=False)
    written, problems = submit(source, tmp_path / "submissions")
    assert written == []
    assert {p.where for p in problems} == {"metadata partial", "metadata complete"}
    assert problems[0].file.startswith(str(tmp_path / "submissions"))
    assert not (tmp_path / "submissions").exists()


def test_examples_give_way_to_the_size_limit(tmp_path: Path, results: Path) -> None:
    side = resolve(FIRST.name, [results]).with_name(f"{FIRST.name}.extras.parquet")
    target = tmp_path / "small.parquet"
    kinds = {}
    for room in (10**9, 60_000, 0):
        write_extras(side, target, [], [*cases.BUDGETS, "bb-linf", "bb-l2"], room, True)
        found = pq.read_table(target)["kind"].to_pylist()
        kinds[room] = (found.count("spectrum"), found.count("example"))
    assert kinds[10**9] == (5, 20)
    assert kinds[60_000][0] == 5
    assert 0 < kinds[60_000][1] < 20
    assert kinds[0] == (5, 0)


def test_the_command_submits_patterns_and_says_what_to_commit(
    tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    submit_command(["fashionmnist-*"], results=results, submissions=tmp_path)
    text = capsys.readouterr().out
    assert text.count("bytes\n") == 4
    (added,) = (
        line.split()[2:] for line in text.splitlines() if line.strip().startswith("git add")
    )
    wanted = [f"{case.name}{kind}" for case in (FIRST, SECOND) for kind in KINDS]
    assert sorted(Path(name).name for name in added) == sorted(wanted)
    assert all(Path(name).is_file() for name in added), "each of them is there"
    assert "gh pr create" in text
    with pytest.raises(BenchError, match="did you mean 'fashionmnist-full-conv'"):
        submit_command(["fashionmnist-full-con"], results=results, submissions=tmp_path)
    with pytest.raises(BenchError, match="measure with `bench eval` first"):
        submit_command(["x"], results=tmp_path / "nothing", submissions=tmp_path)


# ---------------------------------------------------------------- compare


def test_differences_are_paired_on_the_common_kept_samples(results: Path) -> None:
    a, b = open_pair(resolve(FIRST.name, [results]), resolve(SECOND.name, [results]))
    found = {(d.attack, d.quantity): d for d in compare(a, b)}
    first, second = cases.rows(FIRST), cases.rows(SECOND)
    here = first["attack"] == "bb-l2"
    both = first["success"][here] & second["success"][here]
    difference = found["bb-l2", "rfc"]
    gap = (first["rfc"] - second["rfc"])[here][both]
    assert difference.n == both.sum()
    assert difference.difference.mean == pytest.approx(gap.mean())
    assert difference.separable
    error = gap.std() / np.sqrt(both.sum())
    # all differences are read together: between one interval of 95 % and Bonferroni's of all
    half = (difference.difference.mean - difference.difference.low) / error
    assert 1.97 < half < scipy.stats.norm.ppf(1 - 0.025 / len(found)) * 1.01
    assert [d.attack for d in compare(a, b)][: len(found) // 5] == ["bb-l2"] * (len(found) // 5)
    # everyone's success is 1 in both: the same difference everywhere has no interval
    assert found["bb-l2", "success"].difference[0] == 0
    assert np.isnan(found["bb-l2", "success"].difference[1:]).all()
    # the same images: their RFC does not differ
    assert found["bb-l2", "image_rfc"].difference.mean == 0
    assert not found["bb-l2", "image_rfc"].separable
    correct = first["clean_correct"][here] & second["clean_correct"][here]
    assert found["pgd-l2", "success"].n == correct.sum()


def test_a_model_compared_with_itself_differs_nowhere(results: Path) -> None:
    path = resolve(FIRST.name, [results])
    assert not any(d.separable for d in compare(*open_pair(path, path)))


def test_the_command_prints_and_plots(
    tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plot = tmp_path / "plot.svg"
    compare_command(FIRST.name, SECOND.name, results=results, plot=plot)
    text = capsys.readouterr().out
    assert "bb-l2" in text
    assert f"Written: {plot}" in text
    assert plot.read_bytes().startswith(b"<?xml")
    with pytest.raises(BenchError, match="did you mean"):
        compare_command("fashionmnist-full-con", SECOND.name, results=results)


def test_what_can_not_be_compared_is_refused(tmp_path: Path, results: Path) -> None:
    other = cases.write(tmp_path, FIRST, input_shape=[1, 32, 32])
    with pytest.raises(BenchError, match="they can't be compared"):
        open_pair(resolve(SECOND.name, [results]), other)
    stale = cases.write(tmp_path, SECOND, protocol_hash="f" * 64)
    with pytest.raises(BenchError, match="expected protocol hash"):
        open_pair(resolve(FIRST.name, [results]), stale)


# ---------------------------------------------------------------- verify


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real, short measurement: 6 samples under one attack."""
    from bench.api.measure import evaluate

    folder = tmp_path_factory.mktemp("measured")
    name = "fashionmnist-fully-connected"
    evaluate(name, attacks=["pgd-l1"], limit=6, data="embedded", output=folder, batch_size=4)
    return folder / "partial" / cases.PROTOCOL / cases.DATASET / f"{name}.parquet"


def test_measuring_again_reproduces(measured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verify_command(measured, samples=6, secret="s", who="a test", data="embedded")
    text = capsys.readouterr().out
    assert "reproduced 6 of 6 rows, 0 unsettled, 0 contradicted" in text
    assert "6 of 6 rows: a forger of 1% of the rows is caught with probability 1.000" in text
    side = measured.with_name(f"{measured.stem}.verify.json")
    (record,) = json.loads(side.read_text())["records"]
    assert (record["who"], record["reproduced"], record["verdict"]) == ("a test", 6, "reproduced")
    assert record["versions"]["torch"]
    side.unlink()


def test_a_forged_row_is_contradicted(
    tmp_path: Path, measured: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pq.read_table(measured)
    rfc = np.array(table["rfc"].to_numpy())
    row = int(np.flatnonzero(~np.isnan(rfc))[0])
    rfc[row] *= 0.8
    place = table.schema.get_field_index("rfc")
    forged = tmp_path / measured.name
    pq.write_table(table.set_column(place, schema.ROWS.field("rfc"), pa.array(rfc)), forged)
    with pytest.raises(BenchError, match="found 1 contradicted"):
        verify_command(forged, samples=6, secret="s", who="x", data="embedded", record=False)
    sample = table["sample_id"][row].as_py()
    assert f"pgd-l1, sample {sample}: contradicted; the file says" in capsys.readouterr().out


def test_other_weights_are_refused(tmp_path: Path, measured: Path) -> None:
    meta = {**read_metadata(measured), "weights_sha256": "0" * 64}
    table = pq.read_table(measured).replace_schema_metadata({schema.METADATA_KEY: json.dumps(meta)})
    path = tmp_path / measured.name
    pq.write_table(table, path)
    with pytest.raises(BenchError, match="expected the weights of"):
        verify_command(path, samples=2, data="embedded")
    with pytest.raises(BenchError, match="found no file"):
        verify_command(tmp_path / "nothing.parquet")
