"""`bench join`: matching by name, strict reading, and rank correlations against scipy."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import board_cases as cases
import numpy as np
import pytest
import scipy.stats
from test_imports import HEAVY, loaded

import bench
from bench.board.join.call import join_files
from bench.board.join.match import Known, known, match
from bench.board.join.table import read_table
from bench.cli.main import call
from bench.errors import BenchError
from bench.stats.bootstrap import resample_counts
from bench.stats.correlation import Correlation, kendall_closed, rank_correlations

pytestmark = pytest.mark.usefixtures("caro_ranks")

# ---------------------------------------------------------------- correlations


@pytest.mark.parametrize("seed", range(5))
def test_both_are_scipys_with_and_without_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for x, y in (
        (rng.normal(size=20), rng.normal(size=20)),
        (rng.integers(0, 5, 20), rng.integers(0, 4, 20)),
        (np.append(rng.normal(size=8), np.inf), rng.integers(0, 3, 9)),
    ):
        found = rank_correlations(x, y, seed)
        assert found.n == len(x)
        assert found.spearman.mean == pytest.approx(scipy.stats.spearmanr(x, y).statistic)
        assert found.kendall.mean == pytest.approx(scipy.stats.kendalltau(x, y).statistic)


def test_ties_by_hand() -> None:
    # ranks 1, 2.5, 2.5, 4 and 1, 3, 2, 4: rho = 4.5 / sqrt(4.5 * 5);
    # of 6 pairs 5 agree and 1 is tied in x: tau-b = 5 / sqrt(5 * 6)
    found = rank_correlations([1, 2, 2, 3], [10, 30, 20, 40], seed=0)
    assert found.spearman.mean == pytest.approx(4.5 / 22.5**0.5)
    assert found.kendall.mean == pytest.approx(5 / 30**0.5)


def test_the_interval_is_the_bootstrap_over_models() -> None:
    """Every resample worked out by scipy on the repeated models, one by one."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=30)
    y = np.round(x + rng.normal(size=30), 1)
    found = rank_correlations(x, y, seed=5)
    chosen = [np.repeat(np.arange(30), c.astype(int)) for c in resample_counts(30, 5)[:400]]
    for part, statistic in (
        (found.spearman, scipy.stats.spearmanr),
        (found.kendall, scipy.stats.kendalltau),
    ):
        low, high = np.quantile([statistic(x[i], y[i]).statistic for i in chosen], [0.025, 0.975])
        assert (part.low, part.high) == pytest.approx((low, high), abs=0.04)


def test_few_models_in_perfect_order_are_not_certain() -> None:
    """One order in 12 of 4 models, and one in 60 of 5, is perfect up to its direction."""
    four = rank_correlations([1, 2, 3, 4], [1, 2, 3, 4], seed=0)
    assert four.spearman.mean == four.kendall.mean == 1
    assert four.spearman.low < 0
    assert four.kendall.low < 0
    many = rank_correlations(np.arange(12), -np.arange(12), seed=0)
    assert many.spearman.mean == -1
    assert -1 < many.spearman.high < -0.8
    # a perfect order of 5 counts as one swap off it, tau = .8: tanh(atanh .8 -+ 1.96 sqrt .437)
    assert kendall_closed(1.0, 5) == pytest.approx((-0.1946, 0.9835), abs=1e-3)


def test_no_number_where_there_is_none() -> None:
    three = rank_correlations([1, 2, 3, np.nan], [1, 2, 3, 4], seed=0)
    constant = rank_correlations([1, 2, 3, 4], [5, 5, 5, 5], seed=0)
    for found, n in ((three, 3), (constant, 4), (rank_correlations([], [], 0), 0)):
        assert found.n == n
        assert np.isnan([*found.spearman, *found.kendall]).all()
    missing = rank_correlations([1, 2, np.nan, 4, 3], [2, 1, 9, 4, 3], seed=0)
    assert missing.n == 4
    assert missing.spearman.mean == pytest.approx(
        scipy.stats.spearmanr([1, 2, 4, 3], [2, 1, 4, 3]).statistic
    )


@pytest.mark.parametrize(("r", "n"), [(0.0, 6), (0.9, 6), (0.7, 14)])
def test_intervals_cover_what_they_say(r: float, n: int) -> None:
    """Of a normal pair with correlation r, rho is 6/pi asin(r/2) and tau 2/pi asin(r)."""
    rng = np.random.default_rng(1)
    inside = np.zeros(2)
    rounds = 120
    for _ in range(rounds):
        x = rng.normal(size=n)
        found = rank_correlations(x, r * x + (1 - r * r) ** 0.5 * rng.normal(size=n), seed=0)
        for i, (part, true) in enumerate(
            (
                (found.spearman, 6 / np.pi * np.arcsin(r / 2)),
                (found.kendall, 2 / np.pi * np.arcsin(r)),
            )
        ):
            inside[i] += part.low <= true <= part.high
    # 95 % less three standard errors of 120 rounds
    assert (inside / rounds >= 0.95 - 3 * (0.95 * 0.05 / rounds) ** 0.5).all()


def test_the_uncertainty_of_each_figure_is_carried() -> None:
    rng = np.random.default_rng(0)
    x = np.arange(30.0)
    y = x + rng.normal(scale=0.5, size=30)
    alone = rank_correlations(x, y, seed=0)
    still = rank_correlations(x, y, 0, np.repeat(x[:, None], 2000, axis=1))
    assert still == alone
    noisy = rank_correlations(x, y, 0, x[:, None] + rng.normal(scale=8, size=(30, 2000)))
    assert noisy.spearman.mean == alone.spearman.mean
    assert noisy.spearman.low < alone.spearman.low - 0.05


# ---------------------------------------------------------------- reading


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_numbers_as_timms_tables_write_them(tmp_path: Path) -> None:
    path = write(
        tmp_path / "results-imagenet-a.csv",
        "\ufeffmodel,top1,param_count,img_size,interpolation,rank_diff\n"
        'a.x,88.2,"1,014.45",448,bicubic,+1\n\nb.y,-0.5,305.08,,bilinear,\n',
    )
    found = read_table(path)
    assert found.prefix == "results-imagenet-a"
    assert [(row.line, row.key, row.size) for row in found.rows] == [
        (2, "a.x", 448),
        (4, "b.y", None),
    ]
    assert found.numbers["param_count"] == (1014.45, 305.08)
    assert found.numbers["rank_diff"][0] == 1
    assert np.isnan(found.numbers["rank_diff"][1])
    assert found.texts == {"interpolation": ("bicubic", "bilinear")}
    assert list(read_table(path, columns=["top1"]).numbers) == ["top1"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "got an empty file"),
        (b"\n  \n", "got an empty file"),
        (b"model,top1\n", "got none"),
        (b"model\na\n", "expected a column beside 'model'"),
        (b"name,top1\na,1\n", "expected a column 'model', found name, top1"),
        (b"model;top1\na;1\n", "separated by commas, got semicolons"),
        (b"model\ttop1\na\t1\n", "separated by commas, got tabs"),
        (b"model,top1\na,1\nb,2,3\n", "expected 2 cells as in the header, got 3, in {path} line 3"),
        (b"model,top1,top1\na,1,2\n", "'top1' twice"),
        (b"model,top1,\na,1,2\n", "got none for column 3"),
        (b"model,top1\na,1\nb,high\n", "'top1' as in its other rows, got 'high', in {path} line 3"),
        (b"model,top1\na,1\nb,inf\n", "got 'inf'"),
        (b"model,top1\na,1\na,2\n", "'a' in lines 2 and 3"),
        (b"model,top1,img_size\na,1,224\na,2,224\n", "'a' at 224 px in lines 2 and 3"),
        (b"model,top1\n,1\n", "expected a model in column 'model', got none"),
        (b'model,top1\n"a,1\n', "expected CSV"),
        ("model,top1\na,1\n".encode("utf-16"), "expected UTF-8 text"),
        (b"model,top1\n\xe9,1\n", "expected UTF-8 text, got byte 0xe9 at position 11"),
        (None, "expected a CSV file at {path}"),
    ],
)  # fmt: skip
def test_wrong_inputs_are_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, words: str
) -> None:
    path = tmp_path / "t.csv"
    if content is not None:
        path.write_bytes(content)
    assert call(["join", str(path), "--csv", str(tmp_path / "out.csv")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("bench: error: ")
    assert words.format(path=path) in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out.csv").exists()


# ---------------------------------------------------------------- matching


def timm(name: str, tag: str, width: int = 224) -> Known:
    return Known(name, tag, width)


VIT = timm("vit_base_patch16_224", "vit_base_patch16_224.augreg_in21k_ft_in1k")
OTHER_VIT = timm("vit_base_patch16_224.orig_in21k", "vit_base_patch16_224.orig_in21k")
MLP = timm("resmlp_36_distilled_224", "resmlp_36_224.fb_distilled_in1k")
OWN = Known("my-resnet50", None, 224)


@pytest.mark.parametrize(
    ("models", "keys", "wanted"),
    [
        # the full tag wins over the name and the bare name
        ([VIT], ["vit_base_patch16_224", VIT.tag], [("tag", 1)]),
        # old tables have timm's old names, which the registry keeps
        ([VIT, MLP], ["resmlp_36_distilled_224", "resmlp_36_224", "vit_base_patch16_224"],
         [("name", 2), ("name", 0)]),
        ([MLP], ["resmlp_36_224"], [("bare name", 0)]),
        # two models of the board may be meant: the one of that name has it, the other does not
        ([VIT, OTHER_VIT], ["vit_base_patch16_224"], [("name", 0), (None, None)]),
        # other weights of the same architecture are not it, and make a bare name unclear
        ([MLP], ["resmlp_36_224.fb_in1k"], [(None, None)]),
        ([MLP], ["resmlp_36_224", "resmlp_36_224.fb_in1k"], [(None, None)]),
        # the board's own name may be bare
        ([timm("x", "resnet50")], ["resnet50.a1_in1k"], [("bare name", 0)]),
        ([timm("x", "resnet50")], ["resnet50.a1_in1k", "resnet50.tv_in1k"], [(None, None)]),
        # own weights in timm's architecture are not timm's: only the entry's name counts
        ([OWN], ["resnet50", "resnet50.a1_in1k"], [(None, None)]),
        ([OWN], ["resnet50", "my-resnet50"], [("name", 1)]),
    ],
)  # fmt: skip
def test_who_is_who(
    tmp_path: Path,
    models: list[Known],
    keys: list[str],
    wanted: list[tuple[str | None, int | None]],
) -> None:
    lines = "".join(f"{key},{i}\n" for i, key in enumerate(keys))
    table = read_table(write(tmp_path / "t.csv", "model,top1\n" + lines))
    found = match(models, table)
    assert [(m.how, m.place) for m in found] == wanted
    assert all(m.note for m in found if m.place is None)


def test_an_ambiguous_bare_name_is_named(tmp_path: Path) -> None:
    table = read_table(write(tmp_path / "t.csv", "model,top1\nvit_base_patch16_224,1\n"))
    assert "vit_base_patch16_224 as well" in match([VIT, OTHER_VIT], table)[1].note


def test_of_several_rows_the_one_at_the_same_size(tmp_path: Path) -> None:
    head = "model,top1,img_size\n"
    rows = head + "resnet50d.ra2_in1k,81,288\nresnet50d.ra2_in1k,80.5,224\n"
    table = read_table(write(tmp_path / "t.csv", rows))
    for width, place in ((224, 1), (288, 0), (256, None)):
        (found,) = match([timm("resnet50d", "resnet50d.ra2_in1k", width)], table)
        assert found.place == place
    assert found.note == "rows at 288, 224 px, measured here at 256 px"
    one = read_table(write(tmp_path / "u.csv", head + "resnet50d,81,288\n"))
    (found,) = match([timm("resnet50d", "resnet50d.ra2_in1k")], one)
    assert (found.how, found.note) == ("name", "the row is at 288 px, measured here at 224 px")


def test_only_timms_own_weights_are_found_by_their_tag() -> None:
    entry = {"source": "timm", "tag": "resnet50.a1_in1k"}
    assert known("resnet50", entry, "default", 224).tag == "resnet50.a1_in1k"
    assert known("resnet50@random", entry, "random", 224).tag is None
    assert known("r", {**entry, "source": "checkpoint"}, "default", 224).tag is None
    assert known("resnet50", entry, "path", 224).own_weights
    assert known("r", {}, "default", 224).tag is None


# ---------------------------------------------------------------- from submissions to the report


@pytest.fixture(scope="module")
def submissions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six models, of which one is not ranked, a control, and one of another input size."""
    folder = tmp_path_factory.mktemp("submissions")
    for case in (*cases.CASES[:5], cases.CASES[7], cases.CASES[8]):
        cases.write(folder, case)
    cases.write(folder, cases.CASES[6], input_shape=[1, 32, 32])
    return folder


SLOPES = {case.name: case.slope for case in cases.CASES}


def slopes(path: Path, names: list[str]) -> Path:
    lines = [f"{name},{SLOPES[name]},{i % 3},same" for i, name in enumerate(names)]
    return write(path, "\n".join(["model,slope,three,word", *lines, "stranger,1,2,x"]))


def test_the_known_order_is_found(submissions: Path, tmp_path: Path) -> None:
    """RFC falls with the slope of the made-up perturbations' filter."""
    path = slopes(tmp_path / "facts.csv", list(SLOPES))
    small, large = sorted(join_files(path, submissions=submissions), key=lambda j: j.table.size)
    assert [row.model.name for row in large.matched] == [cases.CASES[6].name]
    assert large.correlations["facts.slope"].n == 1
    found = small.correlations["facts.slope"]
    # the model behind a gate and the control are joined, and not correlated
    assert (found.n, len(small.matched)) == (5, 7)
    assert found.spearman.mean == pytest.approx(-1)
    assert found.kendall.mean == pytest.approx(-1)
    assert -1 <= found.spearman.low <= found.spearman.high < 1
    assert small.carried


@pytest.mark.parametrize("metric", ["hfx", "n_kept", "clean_accuracy", "median_norm", "n_params"])
def test_any_column_of_the_board(submissions: Path, tmp_path: Path, metric: str) -> None:
    path = slopes(tmp_path / "facts.csv", list(SLOPES))
    (joined, *_) = join_files(
        path, metric=metric, attack="bb-linf", columns=["three"], submissions=submissions
    )
    bench.leaderboard(submissions, tmp_path / "board", figures=False)
    with (tmp_path / "board" / "leaderboard.csv").open() as stream:
        lines = [
            x
            for x in csv.DictReader(stream)
            if x["attack"] == "bb-linf" and x["checkpoint_rank_low"]
        ]
    lines = [x for x in lines if x["height"] == "28"]
    y = [list(SLOPES).index(x["model"]) % 3 for x in lines]
    x = [float(line[metric]) for line in lines]
    found = joined.correlations
    assert list(found) == ["facts.three"]
    assert found["facts.three"].n == len(x) == 5
    assert found["facts.three"].spearman.mean == pytest.approx(
        scipy.stats.spearmanr(x, y).statistic
    )
    assert joined.carried == (metric in ("hfx", "clean_accuracy"))


def test_carried_resamples_are_the_boards(submissions: Path) -> None:
    """Their percentiles are the board's own interval."""
    from bench.board.build import build
    from bench.board.join.column import resampled_values

    table = build(submissions).tables[0]
    for metric in ("rfc", "hfx"):
        found = resampled_values(table.ranked, table, metric, "pgd-l2")
        assert found is not None
        for row, values in zip(table.ranked, found, strict=True):
            shown = getattr(row.model.attacks["pgd-l2"], metric)
            assert np.quantile(values, [0.025, 0.975]) == pytest.approx(shown[1:], abs=1e-5)


@pytest.mark.parametrize("carry", [True, False])
def test_each_models_resamples_reach_the_correlation(
    submissions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, carry: bool
) -> None:
    shapes = []

    def record(x: object, y: object, seed: int, moved: object = None) -> Correlation:
        shapes.append(None if moved is None else np.shape(moved))
        return rank_correlations(x, y, seed, moved)

    monkeypatch.setattr("bench.board.join.join.rank_correlations", record)
    path = slopes(tmp_path / "facts.csv", list(SLOPES))
    joined = join_files(path, columns=["slope"], carry=carry, submissions=submissions)
    assert shapes == ([(5, 2000), (1, 2000)] if carry else [None, None])
    assert all(part.carried == carry for part in joined)


def test_the_command_writes_both_and_says_who_was_matched(
    submissions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = slopes(tmp_path / "facts.csv", [case.name for case in cases.CASES[:6]])
    second = write(tmp_path / "more.csv", f"id,score\n{cases.CASES[0].name},=1\n")
    out = tmp_path / "new" / "joined.csv"
    common = ["--submissions", str(submissions), "--csv", str(out)]
    assert call(["join", str(first), *common]) == 0
    text = capsys.readouterr().out
    assert re.search(r"\| facts.slope +\| 5 +\| -1.00 \[-1.00, -?0\.\d\d\]", text)
    assert "5 of 7 models matched" in text
    assert "| not matched  |" in text
    assert "Tables of the board without any of these models: 1" in text
    with out.open() as stream:
        lines = {line["model"]: line for line in csv.DictReader(stream)}
    line = lines["fashionmnist-full-conv"]
    assert (line["facts.matched"], line["facts.slope"], line["facts.word"]) == (
        "name",
        "1.1",
        "same",
    )
    assert float(line["rfc_low"]) < float(line["rfc"]) < float(line["rfc_high"])
    assert lines["fashionmnist-locally-connected-relu"]["facts.slope"] == ""
    # one model: its numbers, and a line instead of a correlation
    report = tmp_path / "report.md"
    assert call(["join", str(second), "--key", "id", "-o", str(report), *common]) == 0
    assert "fewer than 4 say nothing about an order" in report.read_text()
    assert "Spearman" not in report.read_text()
    assert "'=1" in out.read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--metric", "rcf"], "did you mean 'rfc'?"),
        (["--attack", "bb-l3"], "did you mean"),
        (["--dataset", "mnist"], "fashionmnist"),
        (["--protocol", "caro2025"], "did you mean 'caro2024'?"),
        (["--column", "top9"], "expected a column 'top9', found model, slope, three, word"),
        (["--submissions", "nowhere"], "expected a folder of submissions"),
    ],
)
def test_wrong_options(
    submissions: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    path = slopes(tmp_path / "facts.csv", list(SLOPES))
    where = ["--submissions", str(submissions), "--csv", str(tmp_path / "x.csv")]
    assert call(["join", str(path), *where, *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_table_of_other_models_is_an_error(submissions: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "model,top1\nresnet50,1\n")
    with pytest.raises(BenchError, match="got 1 others \\('resnet50'"):
        join_files(path, submissions=submissions)
    other = tmp_path / "folder"
    other.mkdir()
    twin = slopes(other / "t.csv", list(SLOPES))
    with pytest.raises(BenchError, match="different names"):
        join_files([path, twin], submissions=submissions)


def test_join_imports_nothing_heavy(submissions: Path, tmp_path: Path) -> None:
    path = slopes(tmp_path / "facts.csv", list(SLOPES))
    arguments = ["join", str(path), "--submissions", str(submissions)]
    arguments += ["--csv", str(tmp_path / "x.csv"), "-o", str(tmp_path / "x.md")]
    code = (
        "import contextlib, io\nfrom bench.cli.main import call\n"
        f"with contextlib.redirect_stdout(io.StringIO()):\n    assert call({arguments!r}) == 0"
    )
    assert loaded(code, HEAVY) == []


def test_a_correlation_always_has_an_interval() -> None:
    rng = np.random.default_rng(0)
    for n in range(1, 9):
        found: Correlation = rank_correlations(rng.integers(0, 3, n), rng.normal(size=n), seed=n)
        for part in (found.spearman, found.kendall):
            assert np.isnan(part).all() or not np.isnan(part).any()
            if n < 4:
                assert np.isnan(part).all()
