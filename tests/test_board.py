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
from bench.board.write import render
from bench.cli.leaderboard import leaderboard
from bench.errors import BenchError
from bench.results import schema
from bench.stats.intervals import Interval

pytestmark = pytest.mark.usefixtures("caro_ranks")


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


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n_params": 10**400}, "metadata n_params"),
        ({"n_params": -1}, "expected at least 1, found -1, in metadata n_params"),
        ({"family": ["x"]}, "expected str, found ['x'], in metadata family"),
        ({"weights": None}, "in metadata weights"),
        ({"input_shape": [1, 10**9, 28]}, "in metadata input_shape.1"),
        ({"git": {"dirty": "yes"}}, "in metadata git.dirty"),
        ({"device": "x" * 10**5}, "expected short text, found 100000 characters"),
    ],
)
def test_impossible_metadata_are_one_line_and_the_others_are_shown(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    cases.write(tmp_path, cases.CASES[0])
    cases.write(tmp_path, cases.CASES[1], **changes)
    found = build(tmp_path)
    assert len(found.tables[0].rows) == 1
    (bad,) = found.unusable
    assert words in bad.reason
    assert "\n" not in bad.reason
    assert len(bad.reason) < 400


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
    assert html.count("</script>") == 3
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
    assert sum(name.endswith(".svg") for name in files) == 6
    for name in files:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    leaderboard(submissions, first, check=True)
    assert "up to date" in capsys.readouterr().out
    leaderboard(submissions, first)
    assert "0 files changed, 13 as they were" in capsys.readouterr().out

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
    leaderboard(fewer, first)
    assert "fashionmnist-full-conv," not in (first / "leaderboard.csv").read_text()


def test_nothing_to_show_leaves_the_board_as_it_is(tmp_path: Path, submissions: Path) -> None:
    board, empty = tmp_path / "board", tmp_path / "empty"
    empty.mkdir()
    for check in (False, True):
        with pytest.raises(BenchError, match="expected submissions that can be shown"):
            leaderboard(empty, board, check=check)
    assert not board.exists()
    leaderboard(submissions, board, figures=False)
    before = {p: p.read_bytes() for p in board.rglob("*") if p.is_file()}
    broken = empty / cases.PROTOCOL / cases.DATASET / "x.parquet"
    for folder in (empty, broken.parent):
        folder.mkdir(parents=True, exist_ok=True)
        if folder != empty:
            broken.write_bytes(b"nonsense")
        with pytest.raises(BenchError, match="stays as it is"):
            leaderboard(empty, board)
        assert {p: p.read_bytes() for p in board.rglob("*") if p.is_file()} == before
    # a first board says which files can't be shown
    leaderboard(empty, tmp_path / "new")
    assert "## Not shown" in (tmp_path / "new" / "README.md").read_text()


# ---------------------------------------------------------------- a stranger's file


def deep(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


HOSTILE: list[Any] = [
    None, True, 1, -1, 0, 1.5, 1e308, -1e308, 10**400, -(10**400), "", "x", "x" * 1_400_000,
    "\x00\x1b[2J", "\ud800", "<script>", "=1+1", [], [1], [None], {}, {"a": {}}, deep(500),
    [10**9, 10**9, 10**9], [0, 0, 0], [-1, 28, 28], ["a", "b", "c"], {"kind": 10**400},
]  # fmt: skip
KEYS = (
    "n_params", "family", "type", "input_shape", "preprocessing", "weights", "git", "control",
    "native_size", "transform", "model", "entry", "protocol", "protocol_hash", "dataset", "partial",
    "complete", "schema_version", "versions", "device", "probe", "seed", "attacks", "batch_size",
)  # fmt: skip


@pytest.mark.parametrize("part", range(4))
def test_no_metadata_takes_the_board_down(tmp_path: Path, submissions: Path, part: int) -> None:
    """The good model is shown each time; the hostile one too, or it is listed with the reason."""
    good = submissions / cases.PROTOCOL / cases.DATASET / f"{cases.CASES[0].name}.parquet"
    place = tmp_path / cases.PROTOCOL / cases.DATASET
    place.mkdir(parents=True)
    shutil.copy(good, place)
    victim = cases.CASES[1]
    table = pq.read_table(good.with_name(f"{victim.name}.parquet"))
    names = []
    # over the parts every key meets six values and every value five keys or more
    pairs = [(k, v) for k in range(len(KEYS)) for v in range(len(HOSTILE)) if (k + v) % 5 == 0]
    for number, (k, v) in enumerate(pairs[part::4]):
        key, value = KEYS[k], HOSTILE[v]
        meta = json.dumps({**cases.metadata(victim), key: value})
        path = place / f"hostile-{number}.parquet"
        pq.write_table(table.replace_schema_metadata({schema.METADATA_KEY: meta}), path)
        names.append(path.stem)
    board = build(tmp_path)
    files = render(board, tmp_path / "out", with_figures=False)
    shown = {row.model.name for t in board.tables for row in t.rows}
    assert cases.CASES[0].name in shown
    listed = {item.path.stem for item in board.unusable}
    missing = {*names, cases.CASES[0].name} - shown - listed
    assert not missing
    assert all(item.reason and len(item.reason) < 1000 for item in board.unusable)
    assert max(map(len, files.values())) < 3_000_000
    assert b"\xed\xa0\x80" not in b"".join(files.values())


def test_a_broken_side_file_is_listed_and_takes_no_one_down(
    tmp_path: Path, submissions: Path
) -> None:
    names = [case.name for case in cases.CASES[:4]]
    place = tmp_path / cases.PROTOCOL / cases.DATASET
    place.mkdir(parents=True)
    for name in names:
        for kind in (".parquet", ".extras.parquet"):
            shutil.copy(submissions / cases.PROTOCOL / cases.DATASET / f"{name}{kind}", place)
    (place / f"{names[0]}.extras.parquet").write_bytes(b"PAR1 nonsense PAR1")
    rows = pq.read_table(place / f"{names[1]}.extras.parquet").to_pylist()
    for row in rows:
        row.update(shape=[2, 2], values=[0.25] * 4, delta=[0.0] * 4)
    side = pa.Table.from_pylist(rows, schema=schema.EXTRAS)
    pq.write_table(side, place / f"{names[1]}.extras.parquet")
    table = pq.read_table(place / f"{names[2]}.parquet")
    at = table.schema.get_field_index("radial_energy")
    short = pa.array([[1.0]] * len(table), type=pa.list_(pa.float32(), 1))
    pq.write_table(table.set_column(at, "radial_energy", short), place / f"{names[2]}.parquet")
    board = build(tmp_path)
    assert sum(len(t.rows) for t in board.tables) == 4
    files = render(board, tmp_path / "out")
    text = files["README.md"].decode()
    for name in names[:3]:
        assert f"| {markdown.markdown(name)} " in text.partition("## Not shown")[2]
    assert sum(name.endswith(".svg") for name in files) == 6


@pytest.mark.parametrize(
    "content",
    ["", "[]", "[" * 50_000, '{"records": 1}', '{"records": [1]}', '{"records": [{}]}', "\x00",
     '{"records": [{"file_sha256": ' + "1" * 6000 + "}]}"],
)  # fmt: skip
def test_no_file_of_records_takes_the_board_down(tmp_path: Path, content: str) -> None:
    path = cases.write(tmp_path, cases.CASES[0])
    path.with_name(f"{path.stem}.verify.json").write_text(content)
    (row,) = build(tmp_path).tables[0].ranked
    assert flags.verified(row.model) == ""


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
    path = cases.write(tmp_path, cases.CASES[0])
    side = path.with_name(f"{path.stem}.verify.json")

    def shown(*records: dict[str, Any]) -> str:
        side.write_text(json.dumps({"records": records}))
        (row,) = build(tmp_path).tables[0].ranked
        return flags.verified(row.model)

    good = cases.record(path)
    assert shown(good) == "reproduced 16 of 16 by the authors"
    assert shown({**good, "file_sha256": "0" * 64}) == ""
    assert shown({**good, "extras_sha256": "0" * 64}) == ""
    # a contradicted one counts, whatever the dates are
    bad = {**good, "reproduced": 12, "contradicted": 4, "verdict": "contradicted"}
    later = {**good, "when": "9999-01-01T00:00:00+00:00"}
    earlier = {**bad, "when": "1999-01-01T00:00:00+00:00"}
    for order in ((later, earlier), (earlier, later)):
        assert shown(*order) == "NOT reproduced: 12 of 16 rows by the authors"
    others = {**good, "others": ["metadata n_params"], "verdict": "contradicted"}
    assert shown(others) == "NOT reproduced: 16 of 16 rows and 1 other differences by the authors"
