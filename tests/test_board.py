"""The board from made-up submissions whose order, ties, gates and flags are known."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import board_cases as cases
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.board import flags, markdown, text
from bench.board.build import build
from bench.board.spectra import profiles, rings
from bench.board.table import Board
from bench.cli.leaderboard import leaderboard
from bench.errors import BenchError
from bench.results import schema
from bench.stats.intervals import Interval


@pytest.fixture(scope="module")
def submissions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("submissions")
    for case in cases.CASES:
        cases.write(folder, case)
    return folder


@pytest.fixture(scope="module")
def board(submissions: Path) -> Board:
    return build(submissions)


def names(board: Board) -> list[str]:
    return [row.model.name.removeprefix("fashionmnist-") for row in board.tables[0].ranked]


# ---------------------------------------------------------------- order, ranks, gates


def test_the_known_order_and_tie(board: Board) -> None:
    (table,) = board.tables
    ranked = {r.model.name.removeprefix("fashionmnist-"): r for r in table.ranked}
    assert names(board)[:5] == [
        "full-conv",
        "full-conv-relu",
        "fully-connected",
        "fully-connected-relu",
        "locally-connected",
    ]
    assert set(names(board)[5:]) == {"local-conv", "local-conv-relu"}
    assert [ranked[n].rank for n in names(board)] == [
        (1, 1),
        (2, 2),
        (3, 3),
        (4, 4),
        (5, 5),
        (6, 7),
        (6, 7),
    ]
    assert [ranked[n].group for n in names(board)] == list("abcdeff")


def test_numbers_are_the_means_over_the_kept_samples(board: Board) -> None:
    case = cases.CASES[0]
    columns = cases.rows(case)
    here = (columns["attack"] == "bb-l2") & columns["success"]
    (row,) = [r for r in board.tables[0].ranked if r.model.name == case.name]
    found = row.model.attacks["bb-l2"]
    assert found.kept == here.sum()
    assert found.rfc.mean == pytest.approx(columns["rfc"][here].mean())
    assert found.hfe.mean == pytest.approx(columns["hfe"][here].mean())
    delta, image = columns["rfc"][here].mean(), columns["image_rfc"][here].mean()
    # white noise at 28 pixels: .7669 (four digits)
    assert found.hfx.mean == pytest.approx((delta - image) / (0.7669 - image), abs=2e-4)
    assert found.hfx.low < found.hfx.mean < found.hfx.high
    correct = columns["clean_correct"][columns["attack"] == "bb-l2"]
    norms = np.where(columns["success"], columns["l2"], np.inf)[columns["attack"] == "bb-l2"]
    assert found.norm.mean == pytest.approx(np.median(norms[correct]))
    assert row.model.clean.mean == correct.mean()


def test_gates_put_a_result_below_with_the_reason(board: Board) -> None:
    why = {row.model.name: "; ".join(row.model.reasons) for row in board.tables[0].unranked}
    assert set(why) == {
        "fashionmnist-fully-connected-relu@random",
        "fashionmnist-local-conv-relu@random",
        "fashionmnist-locally-connected-relu",
    }
    assert "untrained control" in why["fashionmnist-local-conv-relu@random"]
    assert "below 20.0%, 2 x chance" in why["fashionmnist-local-conv-relu@random"]
    assert "bb-l2 fools 8" in why["fashionmnist-locally-connected-relu"]
    assert "95% needed" in why["fashionmnist-locally-connected-relu"]


def altered(folder: Path, case: cases.Case, change: Any, **meta: Any) -> Path:
    """Write a case with its columns changed."""
    columns = {name: values.copy() for name, values in cases.rows(case).items()}
    columns["status"] = columns["status"].astype(object)
    change(columns)
    path = folder / cases.PROTOCOL / cases.DATASET / f"{case.name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(cases.table(columns, cases.metadata(case, **meta)), path)
    return path


def nothing(columns: dict[str, Any]) -> None:
    pass


def test_missing_samples_and_few_kept_are_not_ranked(tmp_path: Path) -> None:
    def half(columns: dict[str, Any]) -> None:
        for name in columns:
            columns[name] = columns[name][:4500]

    altered(tmp_path, cases.CASES[0], half)
    few = cases.Case("fashionmnist-local-conv", accuracy=0.25, success=0.3)
    altered(tmp_path, few, nothing)
    why = {
        row.model.name: "; ".join(row.model.reasons) for row in build(tmp_path).tables[0].unranked
    }
    assert "bb-l2: 500 of 1000 samples present" in why["fashionmnist-fully-connected"]
    assert "samples kept, 100 needed" in why["fashionmnist-local-conv"]


def test_rows_in_another_order_give_the_same_numbers(tmp_path: Path, board: Board) -> None:
    def shuffled(columns: dict[str, Any]) -> None:
        order = np.random.default_rng(0).permutation(len(columns["rfc"]))
        for name in columns:
            columns[name] = columns[name][order]

    altered(tmp_path, cases.CASES[0], shuffled)
    (row,) = build(tmp_path).tables[0].ranked
    (before,) = [r for r in board.tables[0].ranked if r.model.name == row.model.name]
    assert str(row.model.attacks) == str(before.model.attacks)


def test_another_hash_is_never_in_the_table(tmp_path: Path) -> None:
    cases.write(tmp_path, cases.CASES[0])
    cases.write(tmp_path, cases.CASES[1], protocol_hash="f" * 64)
    cases.write(tmp_path, cases.CASES[2], partial=True)
    cases.write(tmp_path, cases.CASES[3], protocol="nonsense")
    found = build(tmp_path)
    assert [row.model.name for row in found.tables[0].rows] == [cases.CASES[0].name]
    why = {item.path.stem: item.reason for item in found.unusable}
    assert "expected protocol hash" in why[cases.CASES[1].name]
    assert "partial" in why[cases.CASES[2].name]
    assert "unknown protocol 'nonsense'" in why[cases.CASES[3].name]
    index = markdown.index(found)
    assert "Not shown" in index
    assert cases.CASES[1].name in index


def test_another_input_size_has_its_own_table(tmp_path: Path) -> None:
    cases.write(tmp_path, cases.CASES[0])
    cases.write(tmp_path, cases.CASES[1], input_shape=[1, 32, 32])
    found = build(tmp_path)
    assert [table.size for table in found.tables] == [(28, 28), (32, 32)]
    page = markdown.page("FashionMNIST", found.tables, {})
    assert "caro2024, 32 x 32 px (native 28 px)" in page


def test_broken_files_are_listed_not_fatal(tmp_path: Path) -> None:
    cases.write(tmp_path, cases.CASES[0])
    folder = tmp_path / cases.PROTOCOL / cases.DATASET
    (folder / "broken.parquet").write_bytes(b"nonsense")
    meta = {schema.METADATA_KEY: json.dumps(cases.metadata(cases.CASES[1]))}
    few = pa.table({"rfc": [1.0]}).replace_schema_metadata(meta)
    pq.write_table(few, folder / f"{cases.CASES[1].name}.parquet")
    found = build(tmp_path)
    assert len(found.tables[0].rows) == 1
    assert {item.path.stem for item in found.unusable} == {"broken", cases.CASES[1].name}


# ---------------------------------------------------------------- flags, references


def test_flags(tmp_path: Path) -> None:
    def masked(columns: dict[str, Any]) -> None:
        here = np.flatnonzero((columns["attack"] == "bb-l2") & columns["success"])
        columns["l2"][here] = 0.5
        columns["l2"][here[:30]] = 2.5
        pgd = (columns["attack"] == "pgd-l2") & columns["clean_correct"]
        columns["success"][pgd] = True
        columns["zero_grad"][np.flatnonzero(pgd)[:50]] = True
        columns["status"][here[-1]] = "nonfinite"
        columns["success"][here[-1]] = False

    altered(tmp_path, cases.CASES[0], masked, git={"commit": "0" * 40, "dirty": True})
    (table,) = build(tmp_path).tables
    (row,) = table.rows
    n = row.model.attacks["bb-l2"].correct
    found = flags.flags(row, table.rules)
    # PGD's budget is 2; Brendel-Bethge needs 2.5 for 30 samples and fails for one
    assert f"PGD>minimal L2 {31 / n:.1%}" in found
    assert f"zero-grad {50 / n:.1%}" in found
    assert "broken 1" in found
    assert "uncommitted" in found
    assert all(any(f.startswith(key) for key in flags.MEANINGS) for f in found)


def test_a_weak_brendel_bethge_is_flagged(board: Board) -> None:
    table = board.tables[0]
    (row,) = [r for r in table.unranked if r.model.name.endswith("locally-connected-relu")]
    assert any(flag.startswith("minimal<gate L2") for flag in flags.flags(row, table.rules))


def test_a_white_profile_is_1_on_every_ring(board: Board) -> None:
    submission = board.tables[0].unranked[0].model.submission
    assert submission.name.endswith("fully-connected-relu@random")
    found = profiles(submission, ["bb-l2"])["bb-l2"]
    assert len(found.mean) == len(rings(28, 28).radius) == 19
    assert found.mean == pytest.approx(1, abs=0.1)
    assert (found.low < found.mean).all()
    assert (found.mean < found.high).all()
    share = rings(28, 28).share
    assert (found.mean * share).sum() == pytest.approx(1, abs=1e-6)


# ---------------------------------------------------------------- text


def test_text() -> None:
    assert text.interval(Interval(0.5, 0.4, 0.6)) == "0.500 [0.400, 0.600]"
    assert text.interval(Interval(0.5, np.nan, np.nan)) == "0.500"
    assert text.number(-0.0001) == "0.000"
    assert text.number(float("inf")) == "\N{INFINITY}"
    assert [text.count(v) for v in (25_600_000, 477_000, 12, None)] == [
        "25.6M",
        "477k",
        "12",
        "\N{EN DASH}",
    ]
    assert [text.significant(v) for v in (0.03137, 1.994, 77.04, 0.5)] == [
        "0.0314",
        "1.99",
        "77.0",
        "0.500",
    ]
    assert text.markdown("a|b<i>`x`\n[l](u)") == "a\\|b&lt;i&gt;\\`x\\` \\[l\\](u)"


def test_hostile_names_do_not_get_into_the_page(tmp_path: Path) -> None:
    from bench.board.page import page

    bad = "</script><script>alert(1)</script>"
    cases.write(tmp_path, cases.CASES[0], family=bad, type="=cmd|' /C calc'!A0")
    found = build(tmp_path)
    html = page(found, {}, {})
    assert "<script>alert" not in html
    assert html.count("</script>") == 2
    assert "<script>" not in markdown.page("x", found.tables, {})
    from bench.board.csv_file import csv_text

    assert ",'=cmd" in csv_text(found)


# ---------------------------------------------------------------- the command


def test_made_twice_it_is_identical_and_check_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    submissions = tmp_path / "submissions"
    for case in (cases.CASES[2], cases.CASES[5], cases.CASES[9]):
        cases.write(submissions, case)
    first, second = tmp_path / "first", tmp_path / "second"
    leaderboard(submissions, first)
    leaderboard(submissions, second)
    files = sorted(p.relative_to(first).as_posix() for p in first.rglob("*") if p.is_file())
    assert {"README.md", "fashionmnist.md", "index.html", "leaderboard.csv"} < set(files)
    assert sum(name.endswith(".svg") for name in files) == 5
    for name in files:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    leaderboard(submissions, first, check=True)
    assert "up to date" in capsys.readouterr().out
    leaderboard(submissions, first)
    assert "0 files changed, 9 as they were" in capsys.readouterr().out

    (figure,) = first.glob("figures/*-scatter.svg")
    for path in (first / "fashionmnist.md", first / "index.html", figure):
        content = path.read_bytes()
        path.write_bytes(content + b" ")
        with pytest.raises(BenchError, match=f"changed: .*{path.name}"):
            leaderboard(submissions, first, check=True)
        path.write_bytes(content)
    (first / "leaderboard.csv").unlink()
    with pytest.raises(BenchError, match=r"missing: leaderboard\.csv"):
        leaderboard(submissions, first, check=True)
    leaderboard(submissions, first)

    # a submission less: everything of it goes, and what is left over is removed
    fewer = tmp_path / "fewer"
    shutil.copytree(submissions, fewer)
    (fewer / "caro2024/fashionmnist/fashionmnist-full-conv.parquet").unlink()
    with pytest.raises(BenchError, match="differences"):
        leaderboard(fewer, first, check=True)
    shutil.rmtree(fewer / "caro2024")
    leaderboard(fewer, first)
    left = {p.relative_to(first).as_posix() for p in first.rglob("*") if p.is_file()}
    assert left == {"README.md", "index.html", "leaderboard.csv"}
    assert "No submissions yet" in (first / "README.md").read_text()


def test_the_csv_holds_every_number(tmp_path: Path, submissions: Path, board: Board) -> None:
    leaderboard(submissions, tmp_path / "b", figures=False)
    with (tmp_path / "b" / "leaderboard.csv").open() as stream:
        lines = list(csv.DictReader(stream))
    assert len(lines) == 10 * 5
    (line,) = [
        x for x in lines if x["model"] == "fashionmnist-full-conv" and x["attack"] == "bb-l2"
    ]
    row = board.tables[0].ranked[0]
    assert float(line["rfc"]) == pytest.approx(row.model.attacks["bb-l2"].rfc.mean, rel=1e-5)
    assert (line["checkpoint_rank_low"], line["checkpoint_rank_high"], line["checkpoint_tie"]) == (
        "1",
        "1",
        "a",
    )


def test_a_strangers_files_are_left_alone(tmp_path: Path, submissions: Path) -> None:
    (tmp_path / "README.md").write_text("# my project\n")
    with pytest.raises(BenchError, match=r"another README\.md"):
        leaderboard(submissions, tmp_path, figures=False)
    (tmp_path / "README.md").unlink()
    (tmp_path / "notes.md").write_text("mine\n")
    leaderboard(submissions, tmp_path, figures=False)
    assert (tmp_path / "notes.md").read_text() == "mine\n"
    with pytest.raises(BenchError, match="expected a folder of submissions"):
        leaderboard(tmp_path / "nothing", tmp_path / "out")


def test_a_verification_is_shown_for_the_very_file_only(tmp_path: Path) -> None:
    from bench.results.read import file_sha256

    path = cases.write(tmp_path, cases.CASES[0])
    record = {
        "file_sha256": file_sha256(path),
        "when": "2026",
        "rows": 16,
        "reproduced": 16,
        "who": "ada",
    }
    side = path.with_name(f"{path.stem}.verify.json")
    side.write_text(json.dumps({"records": [{**record, "verdict": "reproduced"}]}))
    (row,) = build(tmp_path).tables[0].ranked
    assert flags.verified(row.model) == "reproduced 16 of 16 by ada"
    record["file_sha256"] = "0" * 64
    side.write_text(json.dumps({"records": [{**record, "verdict": "reproduced"}]}))
    (row,) = build(tmp_path).tables[0].ranked
    assert flags.verified(row.model) == ""
