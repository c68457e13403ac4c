"""Probes on the board, their compact files, and what `bench check` says of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import REPOSITORY

import bench
from bench.board.build import build
from bench.board.markdown import BACK_LINK
from bench.board.probes import read_reports
from bench.board.write import existing, render
from bench.entries.probe_names import PROBES
from bench.probes.keep import keep, main
from bench.results.probes import arrays, compact, read
from bench.submissions.check.places import collect

NET = "fashionmnist-full-conv"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of submissions with one result and probes of five samples of its model."""
    root = tmp_path_factory.mktemp("kept")
    for name in ("gradient", "filters"):
        bench.probe(name, NET, limit=5, output=root / "results")
        for model in (NET, f"{NET}@random"):
            keep(root / f"results/probes/fashionmnist/{model}.{name}.parquet", root / "submissions")
    place = root / "submissions/minimal2026/fashionmnist"
    place.mkdir(parents=True)
    for path in (REPOSITORY / "submissions/minimal2026/fashionmnist").glob(f"{NET}.*parquet"):
        shutil.copy(path, place)
    return root


def test_a_compact_file_is_the_same_to_three_digits(kept: Path) -> None:
    name = f"probes/fashionmnist/{NET}.gradient.parquet"
    whole, metadata = read(kept / "results" / name)
    small, known = read(kept / "submissions" / name)
    assert known["compact"] is True
    assert known["probe_name"] == metadata["probe_name"] == "gradient"
    before, after = arrays(whole)["samples"], arrays(small)["samples"]
    assert before.keys() == after.keys()
    for column, values in before.items():
        if values.dtype == object:
            assert values.tolist() == after[column].tolist()
        else:
            np.testing.assert_allclose(after[column], values, rtol=5e-4, equal_nan=True)
    assert compact(whole)["attack_rfc"].null_count == whole["attack_rfc"].null_count


def test_the_board_has_a_section_a_page_and_figures(kept: Path, tmp_path: Path) -> None:
    board = build(kept / "submissions")
    files = render(board, tmp_path)
    page = files["fashionmnist.md"].decode()
    assert "## Probes" in page
    assert "[probes](probes-fashionmnist.md)" in page
    assert page.rstrip().endswith(BACK_LINK)
    own = files["probes-fashionmnist.md"].decode()
    assert "# Probes: fashionmnist" in own
    assert f"### {NET}: gradient and attack" in own
    assert f"{NET}@random" in own
    assert own.rstrip().endswith(BACK_LINK)
    figures = {n for n in files if "-probe-" in n}
    assert figures == {f"figures/fashionmnist-probe-{n}.svg" for n in ("gradient", "filters")}
    assert all(f"]({name})" in own for name in figures)
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    assert existing(tmp_path).keys() == files.keys()
    again = render(board, tmp_path)
    assert all(again[name] == files[name] for name in ("probes-fashionmnist.md", *figures))


def test_without_probes_the_board_says_nothing_of_them(kept: Path, tmp_path: Path) -> None:
    shutil.copytree(kept / "submissions/minimal2026", tmp_path / "submissions/minimal2026")
    files = render(build(tmp_path / "submissions"), tmp_path, with_figures=False)
    assert "Probes" not in files["fashionmnist.md"].decode()
    assert not [name for name in files if "probe" in name]


def test_a_strangers_broken_file_is_named_and_the_others_are_shown(
    kept: Path, tmp_path: Path
) -> None:
    place = tmp_path / "fashionmnist"
    shutil.copytree(kept / "submissions/probes/fashionmnist", place)
    (place / "other.gradient.parquet").write_bytes(b"PAR1 no")
    shutil.copy(place / f"{NET}.filters.parquet", place / "mine.filters.parquet")
    table = pq.read_table(place / f"{NET}.gradient.parquet").drop_columns("attack_rfc")
    pq.write_table(table, place / f"{NET}@seed3.gradient.parquet")
    reports, broken = read_reports(place)
    assert list(reports) == ["filters", "gradient"]
    assert len(broken) == 3
    assert "expected filters of mine, found filters of fashionmnist-full-conv" in broken[0]
    assert sum("seed3" in line or "other" in line for line in broken) == 2


def test_check_knows_the_files_of_probes_by_name_place_and_size(kept: Path, tmp_path: Path) -> None:
    places, problems = collect([kept / "submissions"])
    assert problems == []
    assert {p.name for p in places} == {NET}
    folder = tmp_path / "submissions/probes/fashionmnist"
    folder.mkdir(parents=True)
    (folder / "x.bandz.parquet").write_bytes(b"")
    (folder / "a b.bands.parquet").write_bytes(b"")
    (folder / "big.bands.parquet").write_bytes(b"0" * 400_001)
    (folder / "good.bands.parquet").write_bytes(b"")
    problems = collect([tmp_path / "submissions"])[1]
    assert len(problems) == 3
    assert all("good" not in str(problem) for problem in problems)


def test_only_finished_files_of_probes_are_kept(
    kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = kept / f"submissions/minimal2026/fashionmnist/{NET}.parquet"
    assert main([str(result)]) == 2
    assert main([]) == 2
    shown = capsys.readouterr().err
    assert f"expected a finished file of a probe ({', '.join(PROBES)})" in shown
    assert "got none; name some" in shown


@pytest.mark.slow
def test_what_is_submitted_is_current(tmp_path: Path) -> None:
    """The probes in this repository can be read, each with its twin."""
    place = REPOSITORY / "submissions/probes/fashionmnist"
    reports, broken = read_reports(place)
    assert broken == []
    assert set(reports) == {p.name.split(".")[-2] for p in place.glob("*.parquet")} <= set(PROBES)
    for path in place.glob("*.parquet"):
        model, _, kind = path.name.removesuffix(".parquet").rpartition(".")
        other = model.removesuffix("@random") if "@random" in model else f"{model}@random"
        assert (place / f"{other}.{kind}.parquet").exists(), path.name
