"""`bench.summary`, `bench.plot` and `bench show`: the numbers by hand, and files that open."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from conftest import MODEL, REPOSITORY
from test_imports import HEAVY, loaded

import bench
from bench.board.spectra import rings
from bench.cli.main import call
from bench.errors import BenchError
from bench.figures.ink import DARK, LIGHT
from bench.grid import frequency_grid
from bench.show import parts
from bench.show.nets import nets
from bench.show.page import CAPTIONS
from bench.show.source import from_file, from_frame, locate

pytestmark = pytest.mark.usefixtures("caro_ranks")
SUBMISSIONS = REPOSITORY / "submissions"
CARO = SUBMISSIONS / "caro2024" / "fashionmnist"


@pytest.fixture(scope="module")
def measured(quick_folder: Path) -> pd.DataFrame:
    """Thirty samples of a real net."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_REGISTRY", str(quick_folder))
        asked = {"protocol": "quick", "attacks": ["pgd-l1", "pgd-linf"], "limit": 30}
        return bench.evaluate(MODEL, output=None, **asked)


@pytest.fixture
def rows(measured: pd.DataFrame, quick: Path) -> pd.DataFrame:
    """Their rows, with what is on no disk any more; the registry has their protocol."""
    return measured


def test_the_summary_by_hand(rows: pd.DataFrame) -> None:
    found = bench.summary(rows).set_index("attack")
    assert list(found.index) == ["pgd-linf", "pgd-l1"]  # the protocol's order
    for attack, line in found.iterrows():
        own = rows[rows["attack"] == attack]
        kept = own[own["success"]]
        assert (line["n_samples"], line["n_kept"]) == (30, len(kept))
        assert line["rfc"] == pytest.approx(kept["rfc"].mean())
        assert line["rfc_low"] < line["rfc"] < line["rfc_high"]
        assert line["image_rfc"] == pytest.approx(kept["image_rfc"].mean())
        correct = own["clean_correct"]
        wilson = scipy.stats.binomtest(int(correct.sum()), 30).proportion_ci(method="wilson")
        assert line["clean_accuracy"] == pytest.approx(correct.mean())
        assert (line["clean_accuracy_low"], line["clean_accuracy_high"]) == pytest.approx(wilson)
        norms = own[line["norm"]].where(own["success"], np.inf)[correct]
        assert line["median_norm"] == np.median(norms)
        assert line["white_rfc"] == pytest.approx(0.7669, abs=1e-4)
        assert bool(line["partial"])


def test_a_frame_and_its_file_say_the_same(quick: Path, tmp_path: Path) -> None:
    asked = {"protocol": "quick", "attacks": "pgd-l1", "limit": 9}
    table = bench.evaluate(MODEL, output=tmp_path, **asked)
    file = tmp_path / "partial" / "quick" / "fashionmnist" / f"{MODEL}.parquet"
    pd.testing.assert_frame_equal(bench.summary(table), bench.summary(file))
    pd.testing.assert_frame_equal(bench.summary(file), bench.summary(MODEL, folders=[tmp_path]))
    (one,), other = from_frame(table), from_file(file)
    assert one.where == other.where
    assert one.size == other.size == (28, 28)
    one, other = parts.radial(one, "pgd-l1", []), parts.radial(other, "pgd-l1", [])
    np.testing.assert_array_equal(one.own[1].mean, other.own[1].mean)


def test_the_profile_by_hand(rows: pd.DataFrame) -> None:
    """Energy per frequency over the rings, white noise being 1: by a plain loop."""
    (result,) = from_frame(rows)
    own = rows[(rows["attack"] == "pgd-l1") & rows["success"]]
    shown = parts.radial(result, "pgd-l1", []).own
    assert shown is not None
    assert shown[1].n == len(own)
    bins = frequency_grid(28, 28).bin[1:]
    ring = rings(28, 28).place
    for place in range(ring.max() + 1):
        inside = [k for k in range(64) if ring[k] == place]
        energy = np.mean([sum(float(e[k]) for k in inside) for e in own["radial_energy"]])
        white = np.isin(bins, inside).mean()
        assert shown[1].mean[place] == pytest.approx(energy / white, rel=1e-5)
        assert shown[1].low[place] <= shown[1].mean[place] <= shown[1].high[place]


def test_white_noise_lies_on_its_line(rows: pd.DataFrame) -> None:
    flat = np.bincount(frequency_grid(28, 28).bin[1:], minlength=64) / (28 * 28 - 1)
    made = rows.copy()
    made["radial_energy"] = [flat] * len(made)
    (result,) = from_frame(made)
    shown = parts.radial(result, "pgd-l1", []).own
    assert shown is not None
    np.testing.assert_allclose(shown[1].mean, 1, rtol=1e-6)


def test_the_distances_by_hand_and_of_the_nets() -> None:
    """Accuracy left: everything right whose smallest perturbation is larger than the budget."""
    result = from_file(CARO / f"{MODEL}.parquet")
    beside = nets(result, SUBMISSIONS)
    elsewhere = nets(result, Path("no such folder"))
    assert [one.name for one in elsewhere] == [one.name for one in beside], "the checkout's own"
    assert nets(result, None) == []
    assert MODEL not in [net.name for net in beside]
    assert all("@" not in net.name for net in beside)
    assert len(beside) == 7
    shown = parts.distances(result, "bb-l2", beside)
    table = pd.read_parquet(CARO / f"{MODEL}.parquet")
    table = table[table["attack"] == "bb-l2"]
    for place in (0, 10, 120):
        epsilon = shown.epsilons[place]
        left = table["clean_correct"] & ~(table["success"] & (table["l2"] <= epsilon))
        assert shown.own[1][place] == pytest.approx(100 * left.mean())
    assert len(shown.nets) == 7
    # an attack with a budget has no such curve: that of the first minimal one is shown
    assert parts.distances(result, "pgd-l2", []).own[1][0] == pytest.approx(90.6)


class Reader(HTMLParser):
    """Notes the tags, and what they point to."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.alts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for key, value in attrs:
            if key in ("src", "href", "srcset"):
                self.links.append(str(value))
            if key == "alt":
                self.alts.append(str(value))


def test_the_picture_in_three_forms(rows: pd.DataFrame, tmp_path: Path) -> None:
    files = [tmp_path / f"x{kind}" for kind in (".png", ".svg", ".html")]
    made = bench.plot(rows, output=files, attack="pgd-l1", submissions=SUBMISSIONS)
    assert made._repr_png_()[:8] == files[0].read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    ElementTree.fromstring(files[1].read_bytes())
    page = Reader()
    page.feed(files[2].read_text())
    # nothing is fetched and nothing is run; each of four figures is there, light and dark
    assert all(link.startswith("data:image/") for link in page.links)
    assert len(page.links) == 8
    assert "script" not in page.tags
    assert len(page.alts) == len(CAPTIONS) == 4
    assert all(len(alt) > 20 for alt in page.alts)
    assert files[2].stat().st_size < 2_000_000
    assert "PARTIAL, never ranked: first 30 of 48 samples" in files[2].read_text()
    # examples and mean spectrum came with the rows, though no file is left
    sheet = made.sheet()
    assert len(sheet.examples.examples) == 3
    assert sheet.spectrum.n == int(rows[rows["attack"] == "pgd-l1"]["success"].sum())
    assert len(made.figure.axes) == 0 or made.figure.get_size_inches()[0] == 11


def test_the_same_result_gives_the_same_bytes() -> None:
    one, two = (bench.plot(CARO / f"{MODEL}.parquet", submissions=None) for _ in range(2))
    assert one.svg() == two.svg()


def test_a_model_that_nothing_was_attacked_of_is_said_so(
    rows: pd.DataFrame, tmp_path: Path
) -> None:
    wrong = rows[rows["attack"] == "pgd-l1"].copy()
    wrong[["clean_correct", "success"]] = False
    wrong["status"] = "clean_wrong"
    wrong[["l1", "rfc", "hfe"]] = np.nan
    wrong["radial_energy"] = None
    made = bench.plot(wrong, output=tmp_path / "x.png", submissions=None)
    assert "NOTHING WAS ATTACKED: none of the 30 samples" in " ".join(made.sheet().lines)
    line = bench.summary(wrong).iloc[0]
    assert (line["n_clean_correct"], line["clean_accuracy"]) == (0, 0)
    assert np.isnan([line["median_norm"], line["rfc"], line["success"]]).all()


def test_names_in_a_page_are_text(rows: pd.DataFrame) -> None:
    strange = rows.copy()
    strange["model"] = "<script>alert(1)</script>$x_1$"
    text = bench.plot(strange, submissions=None).html()
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_light_and_dark_differ_in_ink_only() -> None:
    result = from_file(CARO / f"{MODEL}.parquet")
    for draw in (parts.spectrum, parts.examples):
        light, dark = (draw(result, "bb-l2", ink).draw() for ink in (LIGHT, DARK))
        assert light.get_facecolor() != dark.get_facecolor()
        assert len(light.axes) == len(dark.axes) > 0
    assert LIGHT.text != DARK.text


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(CARO / f"{MODEL}.parquet")
    where = ["--submissions", str(SUBMISSIONS), "--results", str(tmp_path)]
    assert call(["show", file, *where]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    place = tmp_path / "show" / "caro2024" / "fashionmnist"
    assert sorted(p.name for p in place.iterdir()) == [
        f"{MODEL}{kind}" for kind in (".html", ".png", ".svg")
    ]
    assert re.search(r"bb-l2 +906/1000 +90.6 % +100.0 % +0.5917 l2 +0.466 \[0.461, 0.471\]", out)
    assert call(["show", MODEL, *where, "-o", str(tmp_path / "a.svg"), "-a", "pgd-l2"]) == 0
    assert "pgd-l2 have their energy at" in capsys.readouterr().out
    assert (tmp_path / "a.svg").is_file()


def test_a_whole_result_goes_before_a_partial_one(tmp_path: Path) -> None:
    def make(path: str) -> Path:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")
        return file

    make("r/partial/caro2024/d/m.parquet")
    other = make("r/quick/d/m.parquet")
    make("r/quick/d/m.extras.parquet")
    assert locate("m", [tmp_path / "r"]) == other
    first = make("r/caro2024/d/m.parquet")
    assert locate("m", [tmp_path / "r"]) == first  # the protocol that ranks
    make("r/caro2024/e/m.parquet")
    with pytest.raises(BenchError, match="expected one result of 'm'"):
        locate("m", [tmp_path / "r"])
    with pytest.raises(BenchError, match="unknown result 'n'"):
        locate("n", [tmp_path / "r"])
    with pytest.raises(BenchError, match="found no result at all"):
        locate("m", [tmp_path / "nowhere"])
    mine, board = make("mine/partial/caro2024/d/k.parquet"), make("board/caro2024/d/k.parquet")
    assert locate("k", [tmp_path / "mine", tmp_path / "board"]) == mine
    assert locate("k", [tmp_path / "mine", tmp_path / "board"], whole=True) == board


def test_showing_needs_no_torch(tmp_path: Path) -> None:
    arguments = ["show", str(CARO / f"{MODEL}.parquet"), "-o", str(tmp_path / "x.html")]
    code = (
        "import contextlib, io\nfrom bench.cli.main import call\n"
        f"with contextlib.redirect_stdout(io.StringIO()):\n    assert call({arguments!r}) == 0"
    )
    assert loaded(code, HEAVY) == []
