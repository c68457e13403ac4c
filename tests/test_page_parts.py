"""The page's parts without a browser: libraries, lean samples, first sentence, colours, size."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from pathlib import Path

import board_cases as cases
import numpy as np
import pytest

from bench.board import markdown
from bench.board.beside import MARK, linked
from bench.board.build import build
from bench.board.claims_page import claims
from bench.board.lead import lead
from bench.board.lean import RFC_END, lean, resampling
from bench.board.markdown import index
from bench.board.page import LIMIT, OWN, page
from bench.board.table import Board, Contrasted, Matched, Table
from bench.board.write import existing
from bench.figures.mark import Mark, colours, shade
from bench.figures.style import DARK, FAMILY_COLOURS, OTHER_COLOURS, dark_rules
from bench.results.read import read_samples
from bench.stats.intervals import Interval

pytestmark = pytest.mark.usefixtures("caro_ranks")
ASSETS = Path(markdown.__file__).parent / "assets"


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory, caro_ranks: None) -> Board:
    folder = tmp_path_factory.mktemp("parts")
    for place in (2, 1, 9):
        cases.write(folder, cases.CASES[place])
    return build(folder)


@pytest.fixture(scope="module")
def table(board: Board) -> Table:
    return board.tables[0]


def test_the_libraries_are_the_published_ones() -> None:
    rows = re.findall(
        r"\| `(\S+)` \| .*? \| `([0-9a-f]{64})` \| .*?`(LICENSE\.\w+)`",
        (ASSETS / "vendor" / "SOURCES.md").read_text(),
    )
    assert {name for name, _, _ in rows} == {p.name for p in ASSETS.glob("vendor/*.js")}
    for name, digest, licence in rows:
        content = (ASSETS / "vendor" / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest
        assert b"</script" not in content
        assert "copyright" in (ASSETS / "vendor" / licence).read_text().lower()


def test_our_own_script_is_short_and_fetches_nothing() -> None:
    texts = [(ASSETS / name).read_text() for name in OWN]
    assert sum(len(text.splitlines()) for text in texts) <= 343
    for sign in ("fetch(", "XMLHttpRequest", "innerHTML", "eval(", "new Function", "http://www.w"):
        allowed = 2 if sign == "http://www.w" else 0  # names of SVG's own kind of document
        assert sum(text.count(sign) for text in texts) <= allowed, sign
    policy = (ASSETS / "page.html").read_text()
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy


def test_lean_samples_give_back_the_rows(table: Table) -> None:
    samples = read_samples(table.ranked[0].model.submission)
    place = list(table.rules.attacks).index(table.rules.primary)
    found = lean(samples, place)
    raw, n = base64.b64decode(found["data"]), len(table.rules.ids)
    assert len(raw) == 4 * n + 2 * -(-n // 8)
    codes = np.frombuffer(raw[: 4 * n], "<u2").reshape(2, n)
    kept = samples.fooled[place]
    for code, end, truth in (
        (codes[0], RFC_END, samples.quantities["rfc"][place]),
        (codes[1], found["top"], samples.norm[place]),
    ):
        assert (code[~kept] == 65535).all()
        np.testing.assert_allclose(code[kept] / 65534 * end, truth[kept], atol=end / 65534)
    bits = np.unpackbits(np.frombuffer(raw[4 * n :], np.uint8), bitorder="little")
    bits = bits.reshape(2, -1)[:, :n].astype(bool)
    np.testing.assert_array_equal(bits[0], kept)
    np.testing.assert_array_equal(bits[1], samples.clean_correct[place])


def test_the_state_of_the_generator_is_numpys(table: Table) -> None:
    found = resampling(table)
    whole = [sum(d << 24 * i for i, d in enumerate(found[key])) for key in ("state", "increment")]
    state, step = whole
    multiplier = 0x2360ED051FC65DA44385DF649FCCF645  # O'Neill 2014, PCG's default for 128 bits
    truth = np.random.PCG64(table.rules.protocol.seed)
    for _ in range(3):
        state = (state * multiplier + step) % 2**128
        word, turn = (state >> 64) ^ (state % 2**64), state >> 122
        assert (word >> turn | word << (64 - turn)) % 2**64 == int(truth.random_raw())


def contrasted(low: float, high: float) -> Contrasted:
    return Contrasted("local minus full", Interval((low + high) / 2, low, high), 2, 3, 820)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.1, 0.2, "at higher frequencies than matched recipes with full ones"),
        (-0.2, -0.1, "at lower frequencies than matched recipes with full ones"),
        (-0.1, 0.2, "are not told apart"),
    ],
)
def test_the_first_sentence_follows_the_numbers(
    table: Table, low: float, high: float, said: str
) -> None:
    first, second = lead([replace(table, contrasts=(contrasted(low, high),))])
    assert said in first
    assert "n = 820 images" in first
    assert "does not show that the kernels are the cause" in first
    assert "learning rate" not in first  # nothing is known of these
    rates = tuple(Matched("local-conv", "full-conv", r) for r in ((0.01, 0.01), (0.01, 0.002)))
    known = replace(contrasted(low, high), matched=rates)
    (first, _) = lead([replace(table, contrasts=(known,))])
    assert "in 1 of the 2 pairs, in learning rate, so this does not show" in first
    if "not told" not in said:
        assert "0.150 [0.100, 0.200]" in first
    row = table.ranked[0]
    assert f"n = {row.model.attacks['bb-l2'].kept})" in second
    assert lead([replace(table, ranks=False)]) == []
    assert len(lead([table])) == 1  # without a contrast the range alone


def test_a_newcomer_recolours_nobody() -> None:
    def of(*families: str) -> dict[str, str]:
        marks = [Mark(f, f, f, "Other", False, False, True) for f in families]
        return dict(colours(marks))

    paper = tuple(FAMILY_COLOURS)
    assert {f: of(*paper, "resnet")[f] for f in paper} == FAMILY_COLOURS
    assert of("resnet")["resnet"] == of(*paper, "resnet")["resnet"]
    assert not set(OTHER_COLOURS) & set(FAMILY_COLOURS.values())
    many = [f"family-{i}" for i in range(len(OTHER_COLOURS))]
    assert len(set(of(*many).values())) == len(FAMILY_COLOURS) + len(many)
    assert len(of(*many, "one", "more")) == len(FAMILY_COLOURS) + len(many) + 2
    assert shade("#102030", 0) == "#102030"
    assert len({shade("#8090a0", step) for step in range(3)}) == 3


def test_main_tables_have_at_most_eight_columns_and_figures_come_first(board: Board) -> None:
    (table,) = board.tables
    name = markdown.slug(table)
    figures = {name: [(f"{name}-{kind}.svg", f"caption {kind}") for kind in ("ranks", "curves")]}
    text = markdown.page("x", board.tables, figures)
    heads = [line for line in text.splitlines() if line.startswith("|") and "Model" in line]
    assert len(heads) == 2
    assert all(line.count("|") - 1 <= 8 for line in heads)
    assert text.index(f"(figures/{name}-ranks.svg)") < text.index("| ")
    assert "-curves.svg" not in text
    further = markdown.further(table, figures)
    assert "-curves.svg" in further[f"{name}-models.md"]
    for file in further:
        assert f"({file})" in text


def test_the_page_is_small_and_leaves_out_what_does_not_fit(board: Board) -> None:
    from bench.board.shown import read

    name = markdown.slug(board.tables[0])
    shown = {name: read(board.tables[0], 10)}
    whole = page(board, shown, {})
    assert len(whole.encode()) < LIMIT
    assert whole.count('"samples":{"top"') == len(board.tables[0].rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.board.page.LIMIT", len(whole.encode()) - 100)
        smaller = page(board, shown, {})
    assert smaller.count('"samples":{"top"') == len(board.tables[0].rows) - 1
    assert len(smaller.encode()) <= len(whole.encode()) - 100


def test_claims_are_shown_and_left_alone(tmp_path: Path) -> None:
    assert claims(tmp_path) == []
    text = "# Claims\n\nFirst [link](x.md) is `so`, n = 5.\n\n| a | b |\n|---|---|\n\nSecond.\n"
    (tmp_path / "claims.md").write_text(text + "\n[All data sets](README.md)\n")
    (tmp_path / "README.md").write_text("# Leaderboard\n")
    assert claims(tmp_path) == ["First link is so, n = 5.", "Second."]
    table = (
        "How it is done.\n\n| Claim | Sentence | Verdict | Because |\n|---|---|---|---|\n"
        "| [a](#a) | Local is \\*higher\\* | **supported** | +0.1 \\[0.05, 0.2\\], S = 3 |\n"
        "| [b](#b) | Depth \\| width | **undecided** | two seeds |\n\n| x | y |\n|---|---|\n"
    )
    (tmp_path / "claims.md").write_text(text + "\n" + "[All data sets](README.md)\n")
    (tmp_path / "claims.md").write_text(table)
    assert claims(tmp_path) == [
        "Supported: Local is *higher* (+0.1 [0.05, 0.2], S = 3)",
        "Undecided: Depth | width (two seeds)",
    ]
    (tmp_path / "claims.md").write_text(text + "\n[All data sets](README.md)\n")
    assert set(existing(tmp_path)) == {"README.md"}


def test_the_index_links_the_pages_that_stand_beside_it(tmp_path: Path) -> None:
    made = {"README.md": index(Board((), ())).encode(), "index.html": f"a{MARK}b".encode()}
    assert linked(made, tmp_path)["index.html"] == b"ab"
    for name in ("planted.md", "claims.md"):
        (tmp_path / name).write_text("")
    found = linked(made | {"probes-toy.md": b""}, tmp_path)
    links = re.findall(r"\]\(([a-z-]+\.md)\)", found["README.md"].decode())
    assert links == ["claims.md", "planted.md", "probes-toy.md"]
    assert re.findall(r'href="([^"]+)"', found["index.html"].decode()) == links


def test_dark_figures_change_ink_and_paper_alone() -> None:
    rules = dark_rules()
    assert "prefers-color-scheme:dark" in rules
    for light, dark in DARK.items():
        assert f'[style*="fill: {light}"]{{fill:{dark}!important}}' in rules
    assert not set(DARK) & {*FAMILY_COLOURS.values(), *OTHER_COLOURS}
