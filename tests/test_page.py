"""The page in a real browser, from disk and without a network: what a reader does with it."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import board_cases as cases
import numpy as np
import pytest

from bench.board.build import build
from bench.board.compare import compare, open_pair
from bench.board.shown import short_name
from bench.board.table import Table
from bench.cli.leaderboard import leaderboard

pytestmark = pytest.mark.usefixtures("caro_ranks")

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
SHOWN = (cases.CASES[2], cases.CASES[1], cases.CASES[4], cases.CASES[5], cases.CASES[9])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("page")
    for case in SHOWN:
        cases.write(root / "submissions", case)
    (root / "leaderboard").mkdir()
    (root / "leaderboard" / "claims.md").write_text("# Claims\n\nLocal is **higher**, n = 5.\n")
    (root / "leaderboard" / "planted.md").write_text("# Planted data\n")
    leaderboard(root / "submissions", root / "leaderboard")
    return root


@pytest.fixture(scope="module")
def table(folder: Path, caro_ranks: None) -> Table:
    (found,) = build(folder / "submissions").tables
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as tools:
        opened = tools.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


def visit(browser: Browser, folder: Path, address: str = "", **options: Any) -> Page:
    """Open the page and collect what goes wrong in it."""
    options = {"viewport": {"width": 1400, "height": 1000}, "offline": True} | options
    page = browser.new_context(**options).new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    page.on("request", lambda r: problems.append(r.url) if r.url[:4] not in ("file", "data") else 0)
    page.goto((folder / "leaderboard" / "index.html").as_uri() + address)
    page.wait_for_selector("#board tbody tr")
    page.problems = problems  # type: ignore[attr-defined]
    return page


@pytest.fixture
def page(browser: Browser, folder: Path) -> Iterator[Page]:
    opened = visit(browser, folder)
    yield opened
    opened.context.close()
    assert opened.problems == []  # type: ignore[attr-defined]


def models(page: Page) -> list[str]:
    """Names in the order of the table."""
    return page.eval_on_selector_all("#board tbody tr", "rows => rows.map(r => r.dataset.model)")  # type: ignore[no-any-return]


def column(page: Page, key: str) -> list[str]:
    """First lines of one column's cells."""
    texts = page.locator(f"#board tbody td.c-{key}").all_inner_texts()
    return [text.strip().split("\n")[0] for text in texts]


def head(page: Page, key: str) -> Locator:
    """What sorts by a column."""
    return page.locator(f"#board thead th.c-{key}")


def test_it_says_what_the_board_says(page: Page, table: Table) -> None:
    assert models(page) == [row.name for row in table.rows]
    first = table.ranked[0]
    found = first.model.attacks["bb-l2"]
    assert column(page, "rfc")[0] == f"{found.rfc.mean:.3f}"
    assert column(page, "kept")[0] == str(found.kept)
    assert column(page, "rank")[0] == "1"
    assert column(page, "model")[0] == short_name(first)
    lead = page.locator("#lead").inner_text()
    assert f"{found.rfc.mean:.3f} [{found.rfc.low:.3f}, {found.rfc.high:.3f}]" in lead
    assert f"n = {found.kept}" in lead
    assert "untrained control" in page.locator("#board tr.unranked .c-flags").first.inner_text()
    assert page.locator("#claims").inner_text().count("Local is higher, n = 5.") == 1
    beside = page.eval_on_selector_all("#pages a", "a => a.map(x => x.getAttribute('href'))")
    assert beside == ["claims.md", "planted.md"], "the pages that are there, and no other"


def test_sorting_keeps_the_focus_and_the_unranked_below(page: Page, table: Table) -> None:
    ranked = [r.name for r in sorted(table.ranked, key=lambda r: r.model.clean.mean)]
    rest = [r.name for r in sorted(table.unranked, key=lambda r: r.model.clean.mean)]
    head(page, "clean").locator("[role=button]").focus()
    for order, expected in (
        ("ascending", ranked + rest),
        ("descending", ranked[::-1] + rest[::-1]),
    ):
        page.keyboard.press("Enter")
        page.wait_for_selector(f"th.c-clean[aria-sort={order}]")
        assert models(page) == expected
        assert page.evaluate("document.activeElement.closest('th').dataset.key") == "clean"


def test_filters_columns_and_intervals(page: Page, table: Table) -> None:
    page.get_by_label("Search").fill("fully")
    assert set(models(page)) == {row.name for row in table.rows if "fully" in row.name}
    page.get_by_label("Search").fill("")
    page.get_by_label("not ranked too").uncheck()
    assert models(page) == [row.name for row in table.ranked]
    assert column(page, "hfe") == []
    page.locator(".chooser summary").click()
    page.locator(".chooser").get_by_label("HFE").check()
    assert column(page, "hfe")[0] == f"{table.ranked[0].model.attacks['bb-l2'].hfe.mean:.3f}"
    small = page.locator("#board td.c-rfc small").first
    assert not small.is_visible()
    page.get_by_label("intervals").check()
    assert small.is_visible()
    assert small.inner_text().startswith("[")


def test_another_attack_has_its_numbers_and_no_ranks(page: Page, table: Table) -> None:
    page.get_by_label("Attack").select_option("pgd-linf")
    expected = {r.name: f"{r.model.attacks['pgd-linf'].rfc.mean:.3f}" for r in table.rows}
    assert dict(zip(models(page), column(page, "rfc"), strict=True)) == expected
    assert column(page, "rank") == []
    assert "Linf" in head(page, "norm").inner_text()


def test_the_address_holds_the_state(page: Page, browser: Browser, folder: Path) -> None:
    page.get_by_label("Attack").select_option("pgd-l2")
    head(page, "clean").click()
    head(page, "clean").click()
    page.locator(".chooser summary").click()
    page.locator(".chooser").get_by_label("HFX").check()
    page.get_by_label("Search").fill("conv")
    page.locator("#board tbody tr").last.locator("input").check()
    other = visit(browser, folder, page.evaluate("location.hash"))
    for query in (models, lambda p: column(p, "hfx"), lambda p: column(p, "rfc")):
        assert query(other) == query(page)
    assert other.locator("#attack").input_value() == "pgd-l2"
    ticked = "boxes => boxes.map(b => b.checked)"
    boxes = "#board tbody input"
    assert other.eval_on_selector_all(boxes, ticked) == page.eval_on_selector_all(boxes, ticked)
    other.context.close()


def test_a_recipe_has_its_own_list_of_the_primary_attack(folder: Path, browser: Browser) -> None:
    """No table here has three seeds: the question is not offered, whatever the address says."""
    page = visit(browser, folder, "#by=recipe&a=pgd-l2")
    assert not page.locator("#by").is_visible()
    assert column(page, "recipe") == column(page, "seeds_rfc") == []
    assert column(page, "rfc")
    page.context.close()


def test_details_stand_behind_a_row(page: Page, table: Table) -> None:
    row = table.ranked[0]
    button = page.get_by_role("button", name=f"details of {short_name(row)}", exact=True)
    button.press("Enter")
    assert button.get_attribute("aria-expanded") == "true"
    text = page.locator("td.behind").inner_text()
    for word in ("Training data", "SHA-256", "Every attack", "Verified", "Commit", "pgd-l1"):
        assert word in text
    hrefs = page.eval_on_selector_all("td.behind a", "a => a.map(x => x.getAttribute('href'))")
    assert f"../submissions/caro2024/fashionmnist/{row.name}.parquet" in hrefs
    assert f"../registry/models/fashionmnist/{row.name}.toml" in hrefs
    button.press("Enter")
    assert page.locator("td.behind").count() == 0


def test_values_of_the_plot_by_keyboard_and_by_touch(browser: Browser, folder: Path) -> None:
    page = visit(browser, folder, has_touch=True)
    before = page.locator("#values").inner_text()
    page.locator("#ring").focus()
    page.keyboard.press("ArrowRight")
    by_key, radius = page.locator("#values").inner_text(), page.locator("#radius").inner_text()
    assert by_key != before
    assert f"at {radius}" in by_key
    page.locator("#radial svg").scroll_into_view_if_needed()
    box = page.locator("#radial svg").bounding_box()
    assert box is not None
    page.touchscreen.tap(box["x"] + 0.8 * box["width"], box["y"] + 0.5 * box["height"])
    page.wait_for_function("r => document.getElementById('radius').textContent !== r", arg=radius)
    assert page.problems == []  # type: ignore[attr-defined]
    page.context.close()


def test_the_plots_show_the_ticked_models(page: Page, table: Table) -> None:
    lines = "#radial svg path[data-label]"
    shown = page.eval_on_selector_all(lines, "paths => paths.map(p => p.dataset.label)")
    assert len(shown) == page.locator("#board tbody input:checked").count() == 3
    box = page.locator(f"#board tr[data-model='{shown[0]}'] input")
    box.uncheck()
    left = page.eval_on_selector_all(lines, "paths => paths.map(p => p.dataset.label)")
    assert left == shown[1:]
    assert page.locator("#maps svg").count() == 2
    assert page.locator("#forest svg").get_attribute("aria-label") == "RFC of 5 models under bb-l2"


@pytest.mark.parametrize("pair", [(0, 1), (1, 0), (0, 3), (2, 4)])
def test_paired_differences_are_those_of_bench_compare(
    page: Page, folder: Path, pair: tuple[int, int]
) -> None:
    names = [SHOWN[i].name for i in pair]
    place = folder / "submissions" / cases.PROTOCOL / cases.DATASET
    found = compare(*open_pair(*[place / f"{name}.parquet" for name in names]))
    truth = [each for each in found if each.headline]
    page.get_by_label("First").select_option(names[0])
    page.get_by_label("Second").select_option(names[1])
    code = """([a, b]) => pairedDifferences(model(a), model(b), table().resampling)
        .map(q => [q.n, q.first, q.second, q.difference, q.low, q.high, q.apart])"""
    shown = page.evaluate(code, names)
    assert len(shown) == len(truth) == 3
    for ours, theirs in zip(shown, truth, strict=True):
        assert ours[0] == theirs.n
        assert ours[6] == theirs.separable
        numbers = [theirs.first, theirs.second, *theirs.difference]
        ours = [np.nan if value is None else value for value in ours[1:6]]
        np.testing.assert_allclose(ours, numbers, atol=5e-5, rtol=5e-5)
    text = page.locator("#differences").inner_text()
    assert f"{truth[0].difference.mean:.3f}" in text


def test_the_resamples_are_numpys(page: Page, table: Table) -> None:
    """Place by place: the page draws the ids that `bench.stats` counts."""
    n, draws = len(table.rules.ids), 2000
    raw = np.random.PCG64(table.rules.protocol.seed).random_raw(draws * n)
    chosen = (raw >> np.uint64(32)) * np.uint64(n) >> np.uint64(32)
    code = """() => {
        const ids = resamples(table().resampling);
        const sum = ids.reduce((whole, id, k) => whole + (id + 1) * (k % 1009), 0);
        return [ids.length, sum, [...ids.slice(0, 3000)], [...ids.slice(-3000)]];
    }"""
    length, weighted, first, last = page.evaluate(code)
    assert length == draws * n
    assert weighted == int(((chosen.astype(np.int64) + 1) * (np.arange(length) % 1009)).sum())
    np.testing.assert_array_equal(first, chosen[:3000])
    np.testing.assert_array_equal(last, chosen[-3000:])


def test_exports(page: Page, table: Table) -> None:
    with page.expect_download() as csv:
        page.get_by_role("button", name="CSV").click()
    lines = csv.value.path().read_text().splitlines()
    assert lines[0].startswith('"model","rank","rank_interval"')
    assert len(lines) == 1 + len(table.rows)
    for name in ("forest", "radial", "scatter"):
        with page.expect_download() as png:
            page.locator(f"[data-png={name}]").click()
        content = png.value.path().read_bytes()
        assert content.startswith(b"\x89PNG")
        assert len(content) > 8000
    assert "10.3389/fncom.2024.1387077" in page.locator("#citation").inner_text()


def test_figures_have_captions_and_lead_to_full_size(page: Page, folder: Path) -> None:
    page.locator("#figures summary").click()
    figures = page.locator("#gallery figure")
    assert figures.count() == 6
    for figure in figures.all():
        image = figure.locator("img")
        assert (folder / "leaderboard" / str(image.get_attribute("src"))).is_file()
        assert len(str(image.get_attribute("alt"))) > 40
        assert figure.locator("figcaption a").get_attribute("href") == image.get_attribute("src")
        image.scroll_into_view_if_needed()
        page.wait_for_function("i => i.complete && i.naturalWidth > 0", arg=image.element_handle())


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1024, 1400])
def test_it_fits_and_axe_finds_nothing(
    browser: Browser, folder: Path, width: int, scheme: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    # axe is put into the page by a script of the test's own
    options: dict[str, Any] = {"color_scheme": scheme, "bypass_csp": True}
    page = visit(browser, folder, viewport={"width": width, "height": 900}, **options)
    page.locator("#board tbody button").first.click()
    for summary in page.locator("details > summary").all():
        summary.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    board = page.locator("#board").bounding_box()
    assert board is not None
    assert board["width"] <= width
    found = axe.Axe().run(page).response["violations"]
    assert [(v["id"], v["nodes"][0]["html"]) for v in found] == []
    assert page.problems == []  # type: ignore[attr-defined]
    page.context.close()


def test_axe_sees_a_violation(browser: Browser, folder: Path) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = visit(browser, folder, bypass_csp=True)
    page.evaluate("document.body.append(document.createElement('img'))")
    assert "image-alt" in [v["id"] for v in axe.Axe().run(page).response["violations"]]
    page.context.close()


def test_dark_figures_are_dark(browser: Browser, folder: Path) -> None:
    """A figure as an image follows the reader's scheme: its corner is the page's own colour."""
    (figure,) = (folder / "leaderboard" / "figures").glob("*-scatter.svg")
    corners = []
    for scheme in ("light", "dark"):
        page = browser.new_context(color_scheme=scheme).new_page()  # type: ignore[arg-type]
        page.goto((folder / "leaderboard" / "index.html").as_uri())
        page.set_content(f"<img src='data:image/svg+xml;base64,{encoded(figure)}'>")
        page.wait_for_function("document.images[0].complete")
        corners.append(pixel(page))
        page.context.close()
    assert corners == [(255, 255, 255), (20, 24, 30)]


def encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def pixel(page: Page) -> tuple[int, ...]:
    """The colour of an image's upper left part."""
    import io

    from PIL import Image

    box = page.locator("img").bounding_box()
    assert box is not None
    clip = {"x": box["x"] + 3, "y": box["y"] + 3, "width": 2, "height": 2}
    shot = page.screenshot(clip=clip)  # type: ignore[arg-type]
    found = Image.open(io.BytesIO(shot)).convert("RGB").getpixel((0, 0))
    assert isinstance(found, tuple)
    return found
