"""Every kind of wrong submission is found, with a message that names the place.

A right submission is changed in one way at a time. The table is the list of kinds; each must give
a finding whose text holds the given words, and the right one none.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import board_cases as cases
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.board.build import build
from bench.entries.rules import rules
from bench.metrics import METRICS, Missing, definitions
from bench.results import schema
from bench.submissions.check.check import check_submission, group
from bench.submissions.check.places import collect

pytestmark = pytest.mark.usefixtures("caro_ranks")

CASE = cases.Case("fashionmnist-fully-connected-relu", success=0.97)
Columns = dict[str, np.ndarray]
Meta = dict[str, Any]


@pytest.fixture(scope="module")
def columns() -> Columns:
    return cases.rows(CASE)


def problems(path: Path) -> list[str]:
    places, found = collect([path])
    for places_of_one in group(places):
        found += check_submission(places_of_one)
    return [str(problem) for problem in found]


def place(folder: Path, table: pa.Table, name: str = CASE.name) -> Path:
    path = folder / cases.PROTOCOL / cases.DATASET / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    split = {f.name: "BYTE_STREAM_SPLIT" for f in table.schema if pa.types.is_float64(f.type)}
    words = [f.name for f in table.schema if pa.types.is_dictionary(f.type)]
    pq.write_table(table, path, compression="zstd", use_dictionary=words, column_encoding=split)
    return path


def test_a_right_submission_has_no_problems(tmp_path: Path, columns: Columns) -> None:
    place(tmp_path, cases.compact(cases.table(columns, cases.metadata(CASE))))
    assert problems(tmp_path) == []


# ---------------------------------------------------------------- rows


def row(columns: Columns, status: str, attack: str = "bb-l2") -> int:
    """The first row of an attack with a status."""
    return int(np.flatnonzero((columns["status"] == status) & (columns["attack"] == attack))[0])


def setter(
    name: str, value: Any, status: str = "ok", attack: str = "bb-l2"
) -> Callable[[Columns], None]:
    def change(columns: Columns) -> None:
        columns[name][row(columns, status, attack)] = value

    return change


def times(name: str, factor: float, attack: str = "bb-l2") -> Callable[[Columns], None]:
    def change(columns: Columns) -> None:
        columns[name][row(columns, "ok", attack)] *= factor

    return change


def twice(columns: Columns) -> None:
    for name in columns:
        columns[name] = np.concatenate([columns[name], columns[name][:1]])


def drop_row(columns: Columns) -> None:
    for name in columns:
        columns[name] = columns[name][1:]


def drop_attack(columns: Columns) -> None:
    keep = columns["attack"] != "pgd-l1"
    for name in columns:
        columns[name] = columns[name][keep]


def shuffled_labels(columns: Columns) -> None:
    wrong = (columns["label"] + 1) % 10
    columns["label"] = wrong
    correct = columns["clean_correct"]
    columns["clean_pred"] = np.where(correct, wrong, (wrong + 1) % 10)
    fooled = columns["success"]
    attacked = columns["status"] != "clean_wrong"
    columns["adv_pred"] = np.where(attacked, np.where(fooled, (wrong + 1) % 10, wrong), -1)


def label_under_one_attack(columns: Columns) -> None:
    i = row(columns, "clean_wrong")
    columns["label"][i] = (columns["clean_pred"][i] + 1) % 10


def flipped_predictions(columns: Columns) -> None:
    here = (columns["attack"] == "bb-l2") & (columns["status"] == "clean_wrong")
    other = (columns["clean_pred"] + 1) % 10
    other = np.where(other == columns["label"], (other + 1) % 10, other)
    columns["clean_pred"] = np.where(here, other, columns["clean_pred"])


def flat_profile(columns: Columns) -> None:
    columns["radial_energy"][row(columns, "ok")] = 1 / 64


def shifted_profile(columns: Columns) -> None:
    i = row(columns, "ok")
    columns["radial_energy"][i] = np.roll(columns["radial_energy"][i], 8)


def copied(columns: Columns) -> None:
    ok = np.flatnonzero((columns["attack"] == "bb-l2") & (columns["status"] == "ok"))
    for name in definitions(1):
        if name != "image_rfc":
            columns[name][ok[1::2]] = columns[name][ok[::2][: len(ok[1::2])]]


def lower_rfc(columns: Columns) -> None:
    """A forger who wants a better rank: every RFC a tenth lower."""
    columns["rfc"] *= 0.9


def smaller_norms(columns: Columns) -> None:
    columns["l2"] *= 1.5


def no_perturbation(columns: Columns, i: int) -> None:
    """What belongs to the perturbation is 0 or does not exist; the image keeps its own."""
    for metric in (m for m in METRICS if m.since == 1):
        if metric.missing is Missing.NEVER:
            columns[metric.name][i] = 0
        elif metric.missing in (Missing.ZERO_DELTA, Missing.NO_POWER):
            columns[metric.name][i] = np.nan


def zero_row(name: str, value: float) -> Callable[[Columns], None]:
    """A row whose perturbation is zero, but for one quantity that it then can't have."""

    def change(columns: Columns) -> None:
        i = row(columns, "not_fooled")
        columns["status"][i] = "zero"
        no_perturbation(columns, i)
        columns[name][i] = value

    return change


ROWS: list[tuple[str, Callable[[Columns], None], str]] = [
    ("duplicate row", twice, "each sample id once for"),
    ("missing row", drop_row, "expected sample 0 for pgd-linf"),
    ("missing attack", drop_attack, "for pgd-l1, found no such rows"),
    ("unknown attack", setter("attack", "my-attack"), "one of the attacks"),
    ("foreign sample id", setter("sample_id", 1000), "a sample id of the protocol"),
    ("negative sample id", setter("sample_id", -5), "a sample id of the protocol"),
    ("huge sample id", setter("sample_id", 2**62), "a sample id of the protocol"),
    ("label out of range", setter("label", 10), "a class from 0 to 9 as label"),
    ("label missing", setter("label", -1), "a class from 0 to 9 as label"),
    ("clean_pred out of range", setter("clean_pred", 77), "as clean_pred"),
    ("adv_pred out of range", setter("adv_pred", 10), "as adv_pred"),
    ("adv_pred missing", setter("adv_pred", -1), "as adv_pred"),
    ("adv_pred not attacked", setter("adv_pred", 3, "clean_wrong"), "no adv_pred where nothing"),
    ("other labels", shuffled_labels, "the data set's label"),
    ("label under one attack", label_under_one_attack, "the same label under every attack"),
    ("predictions under one attack", flipped_predictions, "the same clean_pred under every"),
    (
        "clean_correct claimed",
        setter("clean_correct", True, "clean_wrong"),
        "clean_correct exactly",
    ),
    ("clean_correct denied", setter("clean_correct", False), "clean_correct exactly"),
    ("success claimed", setter("success", True, "not_fooled"), "success exactly where"),
    ("success denied", setter("success", False), "success exactly where"),
    ("status ok claimed", setter("status", "ok", "not_fooled"), "status ok only with success"),
    ("status unknown", setter("status", "fine"), "a status of ok, clean_wrong"),
    ("status not_fooled", setter("status", "not_fooled"), "not_fooled only where"),
    ("status clean_wrong", setter("status", "clean_wrong"), "clean_wrong exactly where wrong"),
    ("status zero", setter("status", "zero"), "status zero only with norm 0"),
    ("status init_failed", setter("status", "init_failed", "ok", "pgd-l2"), "init_failed only for"),
    ("zero norm, status ok", setter("l0", 0.0), "status zero with norm 0"),
    ("rfc missing", setter("rfc", np.nan), "a value of rfc, found none"),
    ("l2 missing", setter("l2", np.nan), "a value of l2, found none"),
    ("hfe missing", setter("hfe", np.nan), "a value of hfe, found none"),
    ("rfc infinite", setter("rfc", np.inf), "a finite rfc"),
    ("l2 infinite", setter("l2", np.inf), "a finite l2"),
    ("rfc invented", setter("rfc", 0.3, "clean_wrong"), "no rfc where nothing was measured"),
    ("norm 0 invented", setter("l2", 0.0, "clean_wrong"), "no l2 where nothing was measured"),
    ("profile missing", setter("radial_energy", np.nan), "64 values of radial_energy"),
    (
        "profile hole",
        setter("radial_energy", [np.nan] + [1 / 63] * 63),
        "64 values of radial_energy",
    ),
    ("profile invented", setter("radial_energy", 1 / 64, "clean_wrong"), "no radial_energy where"),
    ("profile infinite", setter("radial_energy", np.inf), "finite values of radial_energy"),
    (
        "profile negative",
        setter("radial_energy", [-1.0] + [2 / 63] * 63),
        "radial_energy from 0 to 1",
    ),
    ("profile sum", times("radial_energy", 1.5), "radial_energy that sums to 1"),
    ("profile flat", flat_profile, "no radial_energy in bins without a frequency"),
    ("profile shifted", shifted_profile, "within half a bin"),
    ("luma missing", setter("log_luma_profile", np.nan), "64 values of log_luma_profile"),
    ("luma too large", setter("log_luma_profile", 9.0), "log_luma_profile"),
    ("rfc lower everywhere", lower_rfc, "within half a bin (.011)"),
    ("rfc lower once", times("rfc", 0.9), "within half a bin (.011)"),
    ("rfc beyond the corner", setter("rfc", 1.6), "rfc from 0 to 1.414"),
    ("hfe above 1", setter("hfe", 1.2), "hfe from 0 to 1"),
    ("hfe lower", times("hfe", 0.5), "hfe as radial_energy has"),
    ("f50 off the grid", setter("f50", 0.3333), "f50 on the frequency grid"),
    ("f50 elsewhere", setter("f50", 1.0), "f50 where radial_energy reaches"),
    ("kappa above 1", setter("kappa_high", 2.0), "kappa_high from 0 to 1"),
    ("dc_share negative", setter("dc_share", -0.1), "dc_share from 0 to 1"),
    ("axis_share above 1", setter("axis_share", 1.01), "axis_share from 0 to 1"),
    ("entropy above 1", setter("entropy", 1.1), "entropy from 0 to 1"),
    ("clip_share above 1", setter("clip_share", 3.0), "clip_share from 0 to 1"),
    ("image_rfc of another image", times("image_rfc", 1.2), "image_rfc"),
    ("grad_rfc of a zero gradient", setter("zero_grad", True), "no grad_rfc of a gradient"),
    ("seconds negative", setter("seconds", -1.0), "seconds of at least 0"),
    ("linf above 1", setter("linf", 1.5), "linf from 0 to 1"),
    ("l0 too many", setter("l0", 785.0), "l0 a whole number"),
    ("l0 half", setter("l0", 10.5), "l0 a whole number"),
    ("l2 below linf", times("l2", 0.01), "linf <= l2"),
    ("l1 below l2", times("l1", 0.01), "l2 <= l1"),
    ("norms larger everywhere", smaller_norms, "l2"),
    ("budget linf", times("linf", 1.01, "pgd-linf"), "within the budget 0.0313725 of pgd-linf"),
    ("budget l2", times("l2", 1.01, "pgd-l2"), "within the budget 2 of pgd-l2"),
    ("budget l1", times("l1", 1.01, "pgd-l1"), "within the budget 78.4 of pgd-l1"),
    ("another attack hash", setter("attack_hash", "0" * 64), "the attack_hash of the protocol's"),
    ("dc_share of nothing", zero_row("dc_share", 0.5), "no dc_share with status zero"),
    ("a stalled success", setter("status", "stalled"), "success exactly where clean_correct"),
    ("copied perturbations", copied, "a different perturbation for every sample of bb-l2"),
]


@pytest.mark.parametrize(("change", "words"), [k[1:] for k in ROWS], ids=[k[0] for k in ROWS])
def test_wrong_rows(
    tmp_path: Path, columns: Columns, change: Callable[[Columns], None], words: str
) -> None:
    altered = {name: values.copy() for name, values in columns.items()}
    altered["status"] = altered["status"].astype(object)
    altered["attack"] = altered["attack"].astype(object)
    change(altered)
    place(tmp_path, cases.compact(cases.table(altered, cases.metadata(CASE))))
    found = problems(tmp_path)
    assert any(words in text for text in found), found
    # file, row and remedy
    assert all(text.startswith(str(tmp_path)) and "; " in text for text in found)


# ---------------------------------------------------------------- metadata


def drop(key: str) -> Callable[[Meta], None]:
    return lambda meta: meta.pop(key)


def put(key: str, value: Any) -> Callable[[Meta], None]:
    return lambda meta: meta.update({key: value})


def put_in(key: str, inner: str, value: Any) -> Callable[[Meta], None]:
    return lambda meta: meta[key].update({inner: value})


def deep(meta: Meta) -> None:
    value: Any = 1
    for _ in range(900):
        value = [value]
    meta["deep"] = value


EARLIER = rules(cases.PROTOCOL, cases.DATASET).hashes[1]

META: list[tuple[str, Callable[[Meta], None], str]] = [
    ("no hash", drop("protocol_hash"), "metadata protocol_hash: expected"),
    ("no weights hash", drop("weights_sha256"), "metadata weights_sha256: expected this key"),
    ("no entry", drop("entry"), "metadata entry: expected this key"),
    ("another hash", put("protocol_hash", "f" * 64), "metadata protocol_hash: expected"),
    ("another protocol", put("protocol", "caro2024-absstep"), "metadata protocol: expected"),
    ("another model", put("model", "resnet50d"), "metadata model: expected"),
    ("another data set", put("dataset", "mnist"), "metadata dataset: expected"),
    ("a list for a name", put("model", ["x"]), "metadata model: expected str"),
    ("true for a number", put("n_params", True), "metadata n_params: expected int"),
    ("no parameters", put("n_params", 0), "metadata n_params: expected at least 1"),
    ("another family", put("family", "resnet"), "metadata family: expected 'fully-connected'"),
    ("another type", put("type", "ViT"), "metadata type: expected 'MLP'"),
    ("another entry", put_in("entry", "source", "timm"), "metadata entry.source"),
    ("another net", put_in("entry", "net", {"family": "local-conv"}), "metadata entry.net"),
    ("partial", put("partial", True), "metadata partial: expected a whole measurement"),
    ("not complete", put("complete", False), "metadata complete"),
    ("fewer samples", put("present", {"bb-l2": 999}), "metadata present: expected 1000"),
    ("another seed", put("seed", 1), "metadata seed: expected the protocol's 2024"),
    ("other images", put("data_fingerprint", "0" * 64), "metadata data_fingerprint"),
    ("bad weights hash", put("weights_sha256", "abc"), "expected 64 hex digits"),
    ("other weights", put("weights_sha256", "0" * 64), "as its entry states"),
    ("control by name only", put("control", True), "metadata control: expected control"),
    ("random weights unmarked", put_in("weights", "kind", "random"), "metadata control"),
    ("another shape", put("input_shape", [3, 28, 28]), "metadata input_shape: expected [1, 28"),
    ("a shape of text", put("input_shape", ["1", "28", "28"]), "metadata input_shape"),
    ("a huge shape", put("input_shape", [1, 10**9, 10**9]), "metadata input_shape"),
    ("other attack settings", put_in("attacks", "bb-l2", {"steps": 1}), "metadata attacks"),
    ("no attack hashes", drop("attack_hashes"), "metadata attack_hashes: expected this key"),
    ("another attack hash", put_in("attack_hashes", "bb-l2", "0" * 64), "metadata attack_hashes"),
    ("an attack too many", put_in("attacks", "mine", {"steps": 1}), "metadata attacks.mine"),
    ("no metrics", drop("metrics"), "metadata metrics: expected this key"),
    ("a metric too few", put("metrics", {"rfc": 1}), "metadata metrics: expected the 16 metrics"),
    (
        "a definition of later",
        put_in("metrics", "hfe", 2),
        "metadata metrics.hfe: expected",
    ),
    ("an earlier hash", put("protocol_hash", EARLIER), "metadata protocol_hash: expected"),
    ("version 1 of today", put("schema_version", 1), "when files were of version 1"),
    ("a number beyond all", put("n_params", 10**400), "expected a number below 2^63, found a num"),
    ("a number in an unknown key", put("later", {"x": [10**400]}), "metadata later.x[0]: expected"),
    ("a count below zero", put("expected", {"bb-l2": -1}), "metadata expected.bb-l2: expected at"),
    ("an unknown kind of weights", put_in("weights", "kind", "my"), "metadata weights.kind"),
    ("never ended", drop("ended"), "metadata ended: expected this key"),
    ("schema of the future", put("schema_version", 99), "metadata schema_version"),
    ("ended before it started", put("ended", "1999-01-01"), "metadata ended"),
    ("terminal escape", put("device", "\x1b[2Jcpu"), "metadata device: expected printable"),
    ("very long text", put("device", "x" * 50_000), "metadata device: expected short text"),
    ("nested too deep", deep, "nested too deep"),
]


@pytest.mark.parametrize(("change", "words"), [k[1:] for k in META], ids=[k[0] for k in META])
def test_wrong_metadata(
    tmp_path: Path, columns: Columns, change: Callable[[Meta], None], words: str
) -> None:
    meta = json.loads(json.dumps(cases.metadata(CASE)))
    change(meta)
    place(
        tmp_path,
        cases.compact(cases.table(columns, cases.metadata(CASE))).replace_schema_metadata(
            {schema.METADATA_KEY: json.dumps(meta)}
        ),
    )
    found = problems(tmp_path)
    assert any(words in text for text in found), found
    assert all(text.isprintable() for text in found)


def test_a_metric_that_the_file_does_not_name_is_no_column(
    tmp_path: Path, columns: Columns
) -> None:
    later = {**definitions(1), "later": 1}
    right = cases.compact(cases.table(columns, cases.metadata(CASE, metrics=later)))
    place(tmp_path, right.append_column("later", pa.array(np.zeros(len(right)))))
    assert any("expected the 16 metrics" in text for text in problems(tmp_path))


def test_stalled_rows_keep_their_numbers_and_are_no_success(
    tmp_path: Path, columns: Columns
) -> None:
    """A perturbation of a stalled attack is there; it may be zero, and it may even fool."""
    altered = {name: values.copy() for name, values in columns.items()}
    altered["status"] = altered["status"].astype(object)
    ok = np.flatnonzero((altered["attack"] == "bb-l2") & (altered["status"] == "ok"))
    altered["status"][ok[:3]] = "stalled"
    altered["success"][ok[:3]] = False
    no_perturbation(altered, ok[0])
    path = place(tmp_path, cases.compact(cases.table(altered, cases.metadata(CASE))))
    assert problems(tmp_path) == []
    (table,) = build(tmp_path).tables
    summary = table.rows[0].model.attacks["bb-l2"]
    assert (summary.broken, summary.kept) == (3, len(ok) - 3)
    # version 1 did not have this status
    meta = cases.metadata(CASE, schema_version=1, protocol_hash=EARLIER)
    old = pq.read_table(path).drop(["attack_hash"])
    digest = pa.array([EARLIER] * len(old))
    old = old.set_column(old.schema.get_field_index("protocol_hash"), "protocol_hash", digest)
    place(tmp_path, old.replace_schema_metadata({schema.METADATA_KEY: json.dumps(meta)}))
    assert any("a status of ok, clean_wrong" in text for text in problems(tmp_path))


def test_there_are_at_least_60_kinds() -> None:
    assert len(ROWS) + len(META) >= 60


@pytest.mark.parametrize("column", ["protocol", "protocol_hash", "model", "dataset"])
def test_a_constant_column_must_be_the_places(
    tmp_path: Path, columns: Columns, column: str
) -> None:
    changed = {**columns, column: np.full(len(columns["label"]), "x", dtype=object)}
    place(tmp_path, cases.compact(cases.table(changed, cases.metadata(CASE))))
    assert any(f"expected {column} " in text for text in problems(tmp_path))


def test_all_problems_are_listed_at_once(tmp_path: Path, columns: Columns) -> None:
    altered = {name: values.copy() for name, values in columns.items()}
    setter("rfc", 1.6)(altered)
    setter("l0", 10.5)(altered)
    meta = cases.metadata(CASE, seed=1, family="x")
    place(tmp_path, cases.compact(cases.table(altered, meta)))
    text = "\n".join(problems(tmp_path))
    for words in ("rfc from 0", "l0 a whole", "metadata seed", "metadata family"):
        assert words in text


def test_the_right_side_file_passes_and_a_wrong_one_does_not(
    tmp_path: Path, columns: Columns
) -> None:
    path = place(tmp_path, cases.compact(cases.table(columns, cases.metadata(CASE))))
    side = path.with_name(f"{CASE.name}.extras.parquet")
    right = cases.extras(CASE, columns).to_pylist()
    # examples of one attack: there is no room for more
    right = [item for item in right if item["kind"] != "example" or item["attack"] == "bb-l2"]
    right += cases.means(columns)

    def found(change: Callable[[list[dict[str, Any]]], None]) -> str:
        rows = [dict(item) for item in right]
        change(rows)
        pq.write_table(pa.Table.from_pylist(rows, schema=schema.EXTRAS), side)
        return "\n".join(problems(tmp_path))

    assert found(lambda rows: None) == ""
    maps = [i for i, item in enumerate(right) if item["kind"] == "spectrum"]
    curve = next(i for i, item in enumerate(right) if item["kind"] == "radial_energy")
    luma = next(i for i, item in enumerate(right) if item["kind"] == "log_luma_profile")
    shown = [i for i, item in enumerate(right) if item["kind"] == "example"]
    flat = np.full(784, 1 / 784, dtype=np.float32)
    for change, words in (
        (lambda rows: rows[maps[0]].update(values=flat), "the rows' mean rfc"),
        (lambda rows: rows[maps[0]].update(n=5), "kept samples, found 5"),
        (lambda rows: rows.pop(curve), "expected the mean radial_energy of pgd-linf, found none"),
        (lambda rows: rows[curve].update(n=5), "kept samples, found 5"),
        (lambda rows: rows[curve].update(values=np.roll(rows[curve]["values"], 4)), "half a bin"),
        (lambda rows: rows[curve].update(values=rows[curve]["values"] * 0.9), "that sum to 1"),
        (lambda rows: rows[curve].update(values=[np.nan] * 64), "a mean radial_energy [0, 1]"),
        (lambda rows: rows[luma].update(values=[0.0] * 64), "a mean log_luma_profile [-27.63"),
        (lambda rows: rows[curve].update(kind="rfc"), "of a known attack"),
        (lambda rows: rows[maps[0]].update(shape=[2, 2]), "expected 4 values"),
        (lambda rows: rows[maps[0]].update(shape=[10**6, 10**6]), "expected a shape"),
        (lambda rows: rows[maps[0]].update(attack="x"), "of a known attack"),
        (lambda rows: rows[shown[0]].update(sample_id=999999), "expected a kept sample"),
        (
            lambda rows: rows[shown[0]].update(delta=np.multiply(rows[shown[0]]["delta"], 0.5)),
            "in the",
        ),
        (lambda rows: rows[shown[0]].update(values=[7.0] * 784), "expected images in [0, 1]"),
        (lambda rows: rows.append(dict(rows[shown[0]])), "found two"),
    ):
        assert words in found(change), words
