"""Rows of the board against numpy on the Parquet files: seeds rolled up, two ranks, witnesses."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import board_cases
import numpy as np
import pytest
import rows_cases as made
import scipy.stats

from bench.board import cells, markdown, notes
from bench.board.build import build
from bench.board.csv_file import HEADER, csv_text
from bench.board.page import page as html
from bench.board.page_columns import COLUMNS
from bench.board.ranking import rank
from bench.board.table import Board, Row, Table
from bench.entries import registry
from bench.results.metadata import Metadata
from bench.results.read import open_submission, read_samples
from bench.stats import rank_sets, recipe_rank_sets

PREFIX = "fashionmnist-"
LEVELS = {
    "full-conv": 0.30,
    "local-conv": 0.36,
    "full-conv-relu": 0.40,
    "local-conv-relu": 0.46,
    "fully-connected": 0.50,
}
"""Means that lie apart; the first four have four training seeds, the last has one."""
SEEDS = (0, 1, 2, 3)


def name_of(model: str, seed: int) -> str:
    return PREFIX + model + (f"@seed{seed}" if seed else "")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.make_registry(tmp_path_factory.mktemp("registry"))


@pytest.fixture(autouse=True)
def _use(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_REGISTRY", str(folder))


@pytest.fixture(scope="module")
def submissions(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("submissions")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_REGISTRY", str(folder))
        for place, (model, level) in enumerate(LEVELS.items()):
            for seed in SEEDS if place < 4 else (0,):
                rows = made.model(10 * place + seed, level + 0.003 * (seed - 1.5), best=0.95)
                kept = rows if seed == 0 else {k: rows[k] for k in ("min-l2", "ddn-l2")}
                made.write(target, name_of(model, seed), kept)
                if seed == 0:
                    digest = {"weights_sha256": made.digest(name_of(model, 0))}
                    old = made.caro(rows, 1.1)
                    made.write(target, PREFIX + model, old, "caro2024", **digest)
        control = {k: v for k, v in made.model(99, 0.7, accuracy=0.1).items() if "-l2" in k}
        made.write(target, f"{PREFIX}full-conv@random", control)
    return target


@pytest.fixture(scope="module")
def board(folder: Path, submissions: Path) -> Board:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_REGISTRY", str(folder))
        return build(submissions)


@pytest.fixture(scope="module")
def table(board: Board) -> Table:
    return board.tables[0]


def everything(tables: Sequence[Table]) -> str:
    """All Markdown of some tables: their page and those that it links."""
    pages = [text for table in tables for text in markdown.further(table, {}).values()]
    return markdown.page("x", tables, {}) + "".join(pages)


def recipe_cell(row: Row, table: Table) -> str:
    """What the page says of a recipe's rank."""
    recipe = next(column for column in COLUMNS if column.key == "recipe")
    return recipe.cell(row, table, "min-l2")[1]


def row_of(table: Table, model: str) -> Row:
    (found,) = [row for row in table.rows if row.name == PREFIX + model]
    return found


def file(submissions: Path, model: str, seed: int = 0) -> Path:
    return submissions / "minimal2026" / made.DATASET / f"{name_of(model, seed)}.parquet"


# ---------------------------------------------------------------- rows and ranks


def test_what_ranks_comes_first_and_alone(board: Board) -> None:
    assert not board.unusable
    assert [(t.rules.protocol.name, t.ranks) for t in board.tables] == [
        ("minimal2026", True),
        ("caro2024", False),
    ]
    first, second = board.tables
    assert [row.name for row in first.ranked] == [PREFIX + name for name in LEVELS]
    assert [row.name for row in first.unranked] == [PREFIX + "full-conv@random"]
    assert second.ranked == ()
    assert len(second.passing) == 5
    text = markdown.page("x", board.tables, {})
    assert "This protocol does not rank" in text
    assert text.index("minimal2026, 28") < text.index("caro2024, 28")


def test_checkpoint_ranks_are_those_of_the_main_seeds_files(
    table: Table, submissions: Path
) -> None:
    found = [made.read(file(submissions, name), "min-l2") for name in LEVELS]
    values, kept = (np.stack([f[key] for f in found]) for key in ("rfc", "ok"))
    assert [row.rank for row in table.ranked] == [
        tuple(r) for r in rank_sets(values, kept, 7).tolist()
    ]
    assert [row.group for row in table.ranked] == list("abcde")
    assert table.checkpoints.models == 5


def test_recipe_ranks_need_three_seeds_and_use_all(table: Table, submissions: Path) -> None:
    four = list(LEVELS)[:4]
    found = [[made.read(file(submissions, m, s), "min-l2") for s in SEEDS] for m in four]
    values, kept = (np.array([[f[key] for f in row] for row in found]) for key in ("rfc", "ok"))
    expected = [tuple(r) for r in recipe_rank_sets(values, kept, 7).tolist()]
    assert [row_of(table, m).recipe_rank for m in four] == expected
    alone = row_of(table, "fully-connected")
    assert (alone.recipe_rank, alone.recipe_group) == (None, "")
    assert recipe_cell(alone, table) == "one seed"
    assert table.recipes.models == 4


def test_seed_mean_and_sd(table: Table, submissions: Path) -> None:
    seeds = row_of(table, "local-conv").seeds
    found = np.stack(
        [made.read(file(submissions, "local-conv", s), "min-l2")["rfc"] for s in SEEDS]
    )
    common = found[:, ~np.isnan(found).any(axis=0)]
    n, means = common.shape[1], common.mean(axis=1)
    assert seeds.common == n
    assert list(seeds.each.values()) == pytest.approx(means)
    assert seeds.sd == pytest.approx(means.std(ddof=1))
    by_id = common.mean(axis=0)
    t = scipy.stats.t.ppf(0.975, 3)
    half = (1.959964**2 * by_id.var() / n + t**2 * means.var(ddof=1) / 4) ** 0.5
    assert seeds.mean == pytest.approx((means.mean(), means.mean() - half, means.mean() + half))


def test_claims_stand_up_to_the_stated_seed_sd(table: Table, submissions: Path) -> None:
    a, b = (made.read(file(submissions, m), "min-l2")["rfc"] for m in list(LEVELS)[:2])
    d = a - b
    d = d[~np.isnan(d)]
    row = table.ranked[0]
    # whichever critical value the claim exceeded: above 1.96, at most Bonferroni's of 10 pairs
    bounds = [
        (((d.mean() / z) ** 2 - d.var(ddof=1) / len(d)) / 2) ** 0.5
        for z in (2.807 * 1.01, 1.959964)
    ]
    assert bounds[0] <= row.seed_sd <= bounds[1]


def test_eight_equal_models_rarely_get_different_ranks(table: Table) -> None:
    model, wrong, uncorrected = table.ranked[0].model, 0, 0
    rng = np.random.default_rng(3)
    for _ in range(60):
        values = 0.4 + rng.normal(0, 0.05, made.N) + rng.normal(0, 0.03, (8, made.N))
        equal = [
            replace(
                model,
                submission=replace(
                    model.submission,
                    path=Path(f"m{i}.parquet"),
                    metadata=Metadata.of(board_cases.metadata(board_cases.CASES[0]), "a test"),
                ),
                primary=v,
                primary_kept=np.ones(made.N, dtype=bool),
            )
            for i, v in enumerate(values)
        ]
        found = rank(equal, table.rules, (28, 28))
        wrong += any(row.rank != (1, 8) for row in found.ranked)
        p = [scipy.stats.ttest_rel(values[i], values[j]).pvalue for i in range(8) for j in range(i)]
        uncorrected += min(p) < 0.05
    assert wrong <= 7
    assert uncorrected > 24


# ---------------------------------------------------------------- numbers of a row


def test_the_numbers_under_every_attack(table: Table, submissions: Path) -> None:
    for row in table.rows:
        model = row.name.removeprefix(PREFIX)
        for name in table.rules.attacks:
            found = row.model.attacks[name]
            truth = made.read(file(submissions, model), name)
            if not truth["there"].any():
                assert (found.samples, found.kept) == (0, 0)
                continue
            correct = truth["correct"]
            assert (found.correct, found.kept) == (correct.sum(), truth["ok"].sum())
            assert found.rfc.mean == pytest.approx(np.nanmean(truth["rfc"]))
            assert found.success.mean == pytest.approx(truth["ok"].sum() / correct.sum())
            median = np.median(truth["distance"][correct])
            assert found.norm.mean == pytest.approx(median)
            # the interval holds the middle order statistics of a binomial with p = 1/2
            ordered, place = np.sort(truth["distance"][correct]), 0
            while scipy.stats.binom.cdf(place, len(ordered), 0.5) < 0.025:
                place += 1
            assert found.norm[1:] == (ordered[place - 1], ordered[-place])
            white = 0.76689
            delta, image = np.nanmean(truth["rfc"]), np.nanmean(truth["image_rfc"])
            assert found.hfx.mean == pytest.approx((delta - image) / (white - image), abs=1e-3)


def test_pgd_shorter_than_the_minimal_attack_is_flagged_with_its_norm(
    tmp_path: Path,
) -> None:
    rows = made.model(0, 0.3)
    hit = np.flatnonzero(rows["min-linf"]["clean_correct"])[:30]
    rows["min-linf"]["linf"][hit] = 0.05
    rows["pgd-linf"]["status"][hit], rows["pgd-linf"]["success"][hit] = "ok", True
    made.write(tmp_path, PREFIX + "full-conv", rows)
    (row,) = build(tmp_path).tables[0].rows
    share = 30 / rows["min-linf"]["clean_correct"].sum()
    text = cells.flag_text(row, build(tmp_path).tables[0])
    assert f"PGD&gt;minimal Linf {share:.1%}" in text


def test_witnesses(table: Table, submissions: Path) -> None:
    for model in LEVELS:
        own = made.read(file(submissions, model), "min-l2")
        rival = made.read(file(submissions, model), "ddn-l2")
        used = rival["there"] & own["correct"]
        d, best = own["distance"][used], np.minimum(own["distance"], rival["distance"])[used]
        found = row_of(table, model).model.attacks["min-l2"].optimality
        assert found is not None
        assert found.n == made.WITNESSED == used.sum()
        # one witnessed sample has a witness 5 % shorter
        assert found.longer.mean == (d > 1.01 * best).mean() == 1 / 20
        assert found.excess.mean == pytest.approx((d / best - 1).mean())
        top = best.max()
        score = 1 - (np.minimum(d, top).mean() - best.mean()) / (top - best.mean())
        assert found.score.mean == pytest.approx(score)
        # the attack's own RFC stays what it is
        assert row_of(table, model).model.attacks["min-l2"].rfc.mean == pytest.approx(
            np.nanmean(own["rfc"])
        )


def test_common_ids(table: Table, submissions: Path) -> None:
    for name in table.rules.attacks:
        found = {m: made.read(file(submissions, m), name)["rfc"] for m in LEVELS}
        common = ~np.isnan(np.stack(list(found.values()))).any(axis=0)
        assert table.common.ids[name] == common.sum()
        for model, rfc in found.items():
            assert table.common.rfc[name][PREFIX + model].mean == pytest.approx(rfc[common].mean())
    assert PREFIX + "full-conv@random" not in table.common.rfc["min-l2"]


def test_excess_over_the_minimum_of_the_same_weights(board: Board, submissions: Path) -> None:
    second = board.tables[1]
    for model in LEVELS:
        path = submissions / "caro2024" / made.DATASET / f"{PREFIX}{model}.parquet"
        theirs, ours = made.read(path, "bb-l2", 1000), made.read(file(submissions, model), "min-l2")
        both = theirs["correct"][: made.N] & ours["ok"]
        over = theirs["distance"][: made.N][both] / ours["distance"][both] - 1
        found = row_of(second, model).excess["bb-l2"]
        assert (found.minimum, found.n, found.common) == ("min-l2", both.sum(), both.sum())
        assert found.median == pytest.approx(np.median(over))
        assert found.longer.mean == pytest.approx((over > 0.01).mean())
        assert found.rfc.mean == pytest.approx(-0.02)
        assert "bb-linf" in row_of(second, model).excess
    assert "Excess over the minimum" in everything(board.tables)
    assert second.contrasts == ()


# ---------------------------------------------------------------- contrasts


def test_contrasts(table: Table, submissions: Path) -> None:
    found = {c.name: c for c in table.contrasts}
    assert set(found) == {
        "local minus full",
        "ReLU minus linear",
        "deep minus shallow",
        "trained minus untrained",
    }
    weights = {"local-conv": 0.5, "local-conv-relu": 0.5, "full-conv": -0.5, "full-conv-relu": -0.5}
    values = np.stack(
        [
            sum(w * made.read(file(submissions, m, s), "min-l2")["rfc"] for m, w in weights.items())
            for s in SEEDS
        ]
    )
    values = values[:, ~np.isnan(values).any(axis=0)]
    n, means = values.shape[1], values.mean(axis=1)
    error = 1 - 0.95**0.5  # two contrasts are shown
    z, t = scipy.stats.norm.ppf(1 - error / 2), scipy.stats.t.ppf(1 - error / 2, 3)
    half = (z**2 * values.mean(axis=0).var() / n + t**2 * means.var(ddof=1) / 4) ** 0.5
    local = found["local minus full"]
    assert (local.pairs, local.seeds, local.ids, local.why) == (2, 4, n, "")
    expected = (means.mean(), means.mean() - half, means.mean() + half)
    assert local.interval == pytest.approx(expected)
    assert found["ReLU minus linear"].interval.mean == pytest.approx(0.1, abs=0.02)
    assert found["deep minus shallow"].why == "no matched pair of models"
    why = found["trained minus untrained"].why
    assert why == "none of 1 matched pairs has 3 training seeds of both"
    text = everything([table])
    assert why in text
    # as the registry's entries have it
    each = "local-conv against full-conv (0.01, 0.002); local-conv-relu against full-conv-relu"
    assert f"The learning rates of local minus full differ in 2 of 2 pairs: {each}" in text
    assert "The learning rates of ReLU minus linear differ in no pair." in text
    assert "differ in this factor alone" not in text


# ---------------------------------------------------------------- gates


def why(folder: Path, name: str = PREFIX + "full-conv") -> str:
    (row,) = [r for r in build(folder).tables[0].rows if r.name == name]
    assert row.rank is None
    return "; ".join(row.model.reasons)


def test_a_model_whose_gradients_are_not_numbers_is_not_ranked(tmp_path: Path) -> None:
    rows = made.model(0, 0.3)
    correct = rows["min-l2"]["clean_correct"]
    for name in ("min-l2", "min-linf", "pgd-linf"):
        rows[name] = made.attack(np.full(made.N, 0.1), np.ones(made.N), correct, "l2", "nonfinite")
    made.write(tmp_path, PREFIX + "full-conv", rows)
    text = why(tmp_path)
    assert f"broke down or stalled on {correct.sum()} of {correct.sum()}" in text
    assert "0 samples kept, 100 needed" in text
    (row,) = build(tmp_path).tables[0].rows
    found = row.model.attacks["min-l2"]
    assert np.isnan(found.rfc.mean)
    assert (found.success.mean, found.norm.mean) == (0, np.inf)
    assert "broken" in cells.flag_text(row, build(tmp_path).tables[0])


@pytest.mark.parametrize("share", [0.01, 0.03])
def test_stalled_samples_are_in_no_mean_and_gate(tmp_path: Path, share: float) -> None:
    rows = made.model(0, 0.3)
    correct = np.flatnonzero(rows["min-l2"]["clean_correct"])
    status = np.full(made.N, "ok", dtype=object)
    lost = correct[: round(share * len(correct))]
    status[lost] = "stalled"
    rfc = rows["min-l2"]["rfc"].copy()
    rfc[lost] = 5.0
    rows["min-l2"] = made.attack(
        np.nan_to_num(rfc), rows["min-l2"]["l2"], rows["min-l2"]["clean_correct"], "l2", status
    )
    made.write(tmp_path, PREFIX + "full-conv", rows)
    (row,) = build(tmp_path).tables[0].rows
    found = row.model.attacks["min-l2"]
    assert (found.broken, found.kept) == (len(lost), len(correct) - len(lost))
    assert found.rfc.mean < 0.5
    assert found.success.mean == pytest.approx(1 - len(lost) / len(correct))
    assert (row.rank is None) == (share > 0.02)


def test_too_long_norms_gate(tmp_path: Path) -> None:
    rows = made.model(0, 0.3)
    rows["ddn-l2"]["l2"][:2] *= 0.9 / 1.02
    made.write(tmp_path, PREFIX + "full-conv", rows)
    text = why(tmp_path)
    assert "min-l2 is more than 1 % above the best known distance on 10.0% of 20 samples" in text
    assert "min-l2 is 1.11% above the best known distance" in text


@pytest.mark.parametrize("status", ["stalled", "nonfinite"])
def test_a_witness_that_broke_down_ran_and_found_nothing(tmp_path: Path, status: str) -> None:
    rows = made.model(0, 0.3)
    rows["ddn-l2"]["l2"][:2] *= 0.9 / 1.02  # shorter, but of no attack that did its work
    rows["ddn-l2"]["status"][:2] = status
    assert rows["ddn-l2"]["success"][:2].all()
    path = made.write(tmp_path, PREFIX + "full-conv", rows)
    (row,) = build(tmp_path).tables[0].rows
    assert row.model.reasons == ()
    found = row.model.attacks["min-l2"].optimality
    assert found is not None
    assert (found.n, found.longer.mean, found.excess.mean) == (made.WITNESSED, 0.0, 0.0)
    distances = read_samples(open_submission(path)).witnesses["ddn-l2"]
    assert np.isinf(distances).sum() == 2


def test_a_gate_that_nobody_measured_does_not_pass(tmp_path: Path) -> None:
    rows = made.model(0, 0.3)
    some = {name: values[:15] for name, values in rows["ddn-l2"].items()}
    made.write(tmp_path, PREFIX + "full-conv", {**rows, "ddn-l2": some})
    assert "witnesses of min-l2: 15 of 20 samples present" in why(tmp_path)
    del rows["ddn-l2"]
    made.write(tmp_path, PREFIX + "full-conv", rows)
    assert "witnesses of min-l2: 0 of 20 samples present" in why(tmp_path)


def test_an_affine_nets_exact_minimum_counts_on_all_ids(tmp_path: Path) -> None:
    rows = made.model(0, 0.3)
    del rows["ddn-l2"]
    own = rows["min-l2"]
    rows["exact-l2"] = made.attack(own["rfc"], own["l2"], own["clean_correct"], "l2")
    made.write(tmp_path, PREFIX + "full-conv", rows)
    (row,) = build(tmp_path).tables[0].ranked
    found = row.model.attacks["min-l2"].optimality
    assert found is not None
    assert (found.n, found.longer.mean) == (own["clean_correct"].sum(), 0)


# ---------------------------------------------------------------- seeds that do not count


def test_a_seed_that_fails_or_repeats_is_left_out_and_named(tmp_path: Path) -> None:
    for seed in range(4):
        rows = made.model(seed, 0.3, accuracy=0.1 if seed == 2 else 0.9)
        same = {"weights_sha256": made.digest(PREFIX + "full-conv")} if seed == 3 else {}
        made.write(tmp_path, name_of("full-conv", seed), rows, **same)
    (table,) = build(tmp_path).tables
    (row,) = table.rows
    assert list(row.seeds.counted) == [0, 1]
    assert row.seeds.left_out[3] == "the same weights as seed 0"
    assert "clean accuracy" in row.seeds.left_out[2]
    assert (row.recipe_rank, recipe_cell(row, table)) == (None, "two seeds")
    assert "2 seeds left out" in cells.flag_text(row, table)
    assert np.isnan(row.seeds.mean.low)
    assert row.seeds.sd > 0


def test_a_model_whose_own_weights_were_not_measured_shows_its_lowest_seed(tmp_path: Path) -> None:
    for seed in (2, 1):
        made.write(tmp_path, name_of("full-conv", seed), made.model(seed, 0.3))
    (row,) = build(tmp_path).tables[0].rows
    assert (row.name, row.model.name) == (PREFIX + "full-conv", PREFIX + "full-conv@seed1")


def test_one_kept_sample_has_no_interval(tmp_path: Path) -> None:
    rows = made.model(0, 0.3)
    correct = np.arange(made.N) == 5
    rows["min-l2"] = made.attack(np.full(made.N, 0.3), np.ones(made.N), correct, "l2")
    made.write(tmp_path, PREFIX + "full-conv", rows)
    table = build(tmp_path).tables[0]
    found = table.rows[0].model.attacks["min-l2"]
    assert found.kept == 1
    for interval in (found.rfc, found.hfe, found.hfx, found.norm):
        assert np.isfinite(interval.mean)
        assert np.isnan(interval[1:]).all()
    assert "few: 1 kept" in cells.flag_text(table.rows[0], table)
    assert "(1\\*)" in everything([table])


# ---------------------------------------------------------------- every view


def test_the_csv_says_the_same(board: Board) -> None:
    lines = list(csv.DictReader(csv_text(board).splitlines()))
    assert list(lines[0]) == list(HEADER)
    assert len(lines) == 6 * 3 + 5 * 5
    for table in board.tables:
        for row in table.rows:
            (line,) = [
                x
                for x in lines
                if (x["protocol"], x["model"]) == (table.rules.protocol.name, row.name)
                and x["attack"] == table.rules.primary
            ]
            found = row.model.attacks[table.rules.primary]
            assert float(line["rfc"]) == pytest.approx(found.rfc.mean, rel=1e-5)
            low = line["recipe_rank_low"]
            assert low == ("" if row.recipe_rank is None else str(row.recipe_rank[0]))
            assert line["n_seeds"] == str(len(row.seeds.counted))
            assert line["checkpoint_tie"] == row.group
            if found.optimality:
                assert float(line["mean_excess"]) == pytest.approx(
                    found.optimality.excess.mean, rel=1e-5
                )
            if row.excess:
                median = float(line["median_excess_over_minimum"])
                assert median == pytest.approx(row.excess[table.rules.primary].median, rel=1e-5)


def test_the_pages_explain_what_they_show(board: Board, table: Table) -> None:
    text, page = everything(board.tables), html(board, {}, {})
    for words in (
        "not a ladder of robustness",
        "not comparable across data sets",
        "stepdown max-|t| over all pairs",
        f"the smallest gap that half of the pairs would tell is {table.checkpoints.gap:.3f}",
        f"the smallest gap that half of the pairs would tell is {table.recipes.gap:.3f}",
        "Gates of min-l2: share at most 5%, mean excess at most 0.5%",
    ):
        assert words in text
    assert notes.told(table)[:60] in page
    assert "not a ladder of robustness" in page


def test_a_board_of_very_many_models_says_that_it_draws_nothing(table: Table) -> None:
    from bench.board.table import Told

    many = replace(table, checkpoints=Told(1000, 0.01, drawn=False))
    assert "Bonferroni over all pairs" in notes.told(many)


def test_a_board_ranks_under_the_first_of_the_ranking_protocols(folder: Path) -> None:
    assert registry.ranks(registry.protocol("minimal2026"))
    assert not registry.ranks(registry.protocol("caro2024"))
    hidden = registry.protocol("minimal2026").model_copy(update={"ranks": False})
    assert not registry.ranks(hidden)
