"""The page in a real browser, from disk and without a network: sort, filter, read a value back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import board_cases as cases
import pytest

from bench.board.build import build
from bench.cli.leaderboard import leaderboard

pytestmark = pytest.mark.usefixtures("caro_ranks")

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
SHOWN = (cases.CASES[2], cases.CASES[1], cases.CASES[4], cases.CASES[5], cases.CASES[9])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("page")
    for case in SHOWN:
        cases.write(root / "submissions", case)
    leaderboard(root / "submissions", root / "leaderboard")
    return root


@pytest.fixture
def page(folder: Path) -> Iterator[Page]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1400, "height": 1000}, offline=True)
        opened = context.new_page()
        problems: list[str] = []
        opened.on("pageerror", lambda error: problems.append(str(error)))
        opened.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
        opened.goto((folder / "leaderboard" / "index.html").as_uri())
        opened.wait_for_selector("#board tbody tr")
        yield opened
        browser.close()
        assert problems == []


def models(page: Page) -> list[str]:
    """Names in the order of the table."""
    rows = page.locator("#board tbody tr")
    return [str(rows.nth(i).get_attribute("data-model")) for i in range(rows.count())]


def column(page: Page, key: str) -> list[str]:
    """First lines of one column's cells."""
    keys = [
        page.locator("#board th").nth(i).get_attribute("data-key")
        for i in range(page.locator("#board th").count())
    ]
    cells = page.locator(f"#board tbody tr td:nth-child({keys.index(key) + 1})")
    return [text.split("\n")[0] for text in cells.all_inner_texts()]


def test_the_page_sorts_filters_and_says_what_the_board_says(page: Page, folder: Path) -> None:
    (table,) = build(folder / "submissions").tables
    truth = {row.model.name: row for row in table.rows}
    assert models(page) == [row.model.name for row in table.rows]

    # a value read back
    first = table.ranked[0]
    assert column(page, "rfc")[0] == f"{first.model.attacks['bb-l2'].rfc.mean:.3f}"
    assert column(page, "rank")[0] == "1"
    assert column(page, "kept")[0] == str(first.model.attacks["bb-l2"].kept)

    # sorting by clean accuracy, up and down
    head = page.locator("th[data-key=clean]")
    head.click()
    by_clean = sorted(truth, key=lambda name: truth[name].model.clean.mean)
    assert models(page) == by_clean
    assert page.locator("th[data-key=clean]").get_attribute("aria-sort") == "ascending"
    page.locator("th[data-key=clean]").click()
    assert models(page) == by_clean[::-1]
    page.locator("th[data-key=rank]").press("Enter")
    assert models(page)[0] == first.model.name

    # filtering by family, by name, and by rank
    page.locator("#families label", has_text="local-conv").click()
    assert all("local-conv" not in name for name in models(page))
    page.locator("#families label", has_text="local-conv").click()
    page.locator("#search").fill("fully")
    assert set(models(page)) == {name for name in truth if "fully" in name}
    page.locator("#search").fill("")
    page.locator("#unranked").uncheck()
    assert set(models(page)) == {row.model.name for row in table.ranked}
    page.locator("#unranked").check()
    page.locator("#type").select_option("MLP")
    assert set(models(page)) == {name for name in truth if "fully-connected" in name}


def test_another_attack_changes_the_numbers_not_the_ranks(page: Page, folder: Path) -> None:
    (table,) = build(folder / "submissions").tables
    before = column(page, "rank")
    page.locator("#attack").select_option("pgd-linf")
    expected = [f"{row.model.attacks['pgd-linf'].rfc.mean:.3f}" for row in table.rows]
    assert column(page, "rfc") == expected
    assert column(page, "rank") == before
    assert "Linf" in page.locator("th[data-key=norm]").inner_text()


def test_the_plot_shows_the_chosen_models(page: Page, folder: Path) -> None:
    (table,) = build(folder / "submissions").tables
    lines = page.locator("#plot path.line")
    chosen = [row.model.name for row in table.ranked[:4]]
    assert [lines.nth(i).get_attribute("data-model") for i in range(lines.count())] == chosen
    page.locator(f"tr[data-model='{chosen[0]}'] input").uncheck()
    assert lines.count() == 3
    last = table.unranked[-1].model.name
    page.locator(f"tr[data-model='{last}'] input").check()
    assert lines.count() == 4
    assert last in page.locator("#legend").inner_text()
    assert page.locator("#maps canvas").count() == 4
    page.locator("#plot svg").hover()
    assert "r = " in page.locator("#tip").inner_text()


def test_links_and_figures_lead_somewhere(page: Page, folder: Path) -> None:
    hrefs = [a.get_attribute("href") for a in page.locator("#board a").all()]
    assert "../submissions/caro2024/fashionmnist/fashionmnist-full-conv.parquet" in hrefs
    assert "../registry/models/fashionmnist/fashionmnist-full-conv.toml" in hrefs
    for image in page.locator("#figures img").all():
        assert (folder / "leaderboard" / str(image.get_attribute("src"))).is_file()


def test_a_narrow_page_does_not_scroll_sideways(page: Page) -> None:
    page.set_viewport_size({"width": 380, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 380
    assert page.locator("#board tbody tr").first.bounding_box()["height"] < 160  # type: ignore[index]


def test_nothing_is_fetched(folder: Path) -> None:
    text = (folder / "leaderboard" / "index.html").read_text()
    for sign in ('src="http', "src='http", "@import", "fetch(", "XMLHttpRequest", "<link"):
        assert sign not in text
