"""The board as Markdown: an index, one page a data set, and linked pages with everything else.

A page shows figures first, then a main table of at most eight columns; what is wider has a page
of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from bench.board import cells, notes
from bench.board.beside import MARK
from bench.board.flags import MEANINGS
from bench.board.lead import lead
from bench.board.notes import CAUTION, READING
from bench.board.table import Board, Row, Table
from bench.board.tabular import tabular
from bench.board.text import NORMS, markdown
from bench.grid import white_noise

INDEX_TITLE = "# Leaderboard"
BACK_LINK = "[All data sets](README.md)"
AHEAD = ("ranks", "profiles")
"""Kinds of figures that stand above the main table."""
WORDS = (
    *("Model", "Input", "Family", "Type", "Flags", "Verified", "Why", "Tie", "Tie, recipe"),
    *("RFC of each seed", "Left out", "Contrast", "Not shown because"),
)
"""Columns of words, set to the left."""
Figures = Mapping[str, Sequence[tuple[str, str]]]


def page(
    dataset: str, tables: Sequence[Table], figures: Figures, claims: Sequence[str] = ()
) -> str:
    """Return the page of one data set.

    Args:
        dataset: its title.
        tables: its tables (one for each protocol and input size), those that rank first.
        figures: table slug -> (file, caption) in order.
        claims: first paragraphs of the claims page, plain; empty without one.
    """
    parts = [f"# {markdown(dataset)}", *(markdown(text) for text in lead(tables)), CAUTION]
    for table in tables:
        parts += _main(table, figures.get(slug(table), []))
    if claims:
        parts += ["## Claims", "\n".join(f"- {markdown(text)}" for text in claims)]
        parts += ["[All claims, with what each rests on](claims.md)"]
    parts += ["## How to read it", READING, "## Flags", _flag_list(), BACK_LINK]
    return "\n\n".join(parts) + "\n"


def further(table: Table, figures: Figures) -> dict[str, str]:
    """Return file name -> text of the pages that a table's page links."""
    title = f"{markdown(table.rules.dataset.title)}, {markdown(heading(table))}"
    back = f"[{markdown(table.rules.dataset.title)}]({table.rules.dataset.name}.md)"
    return {
        f"{slug(table)}-{kind}.md": "\n\n".join(
            [f"# {title}: {what}", *parts, f"{back} | {BACK_LINK}"]
        )
        + "\n"
        for kind, (what, parts) in _further(table, figures).items()
    }


def slug(table: Table) -> str:
    """Return a table's name in file names and links."""
    height, width = table.size
    side = f"{height}px" if height == width else f"{height}x{width}px"
    return f"{table.rules.dataset.name}-{table.rules.protocol.name}-{side}"


def heading(table: Table) -> str:
    """Return a table's title for people."""
    height, width = table.size
    native = table.rules.dataset.native_size
    note = f" (native {native} px)" if native != height else ""
    return f"{table.rules.protocol.name}, {height} x {width} px{note}"


def _main(table: Table, figures: Sequence[tuple[str, str]]) -> Iterator[str]:
    yield f"## {markdown(heading(table))}"
    yield from (_figure(file, caption) for kind, file, caption in _kinds(figures) if kind in AHEAD)
    yield notes.about(table, white_noise(*table.size)["rfc"])
    shown = table.ranked if table.ranks else table.passing
    made = cells.ranked if table.ranks else cells.plain
    yield _rows(made, shown, table) if shown else "No result passes the gates yet."
    behind = [row for row in table.rows if row not in shown]
    if behind:
        yield "### Not ranked" if table.ranks else "### Behind the protocol's gates"
        yield _rows(cells.unranked, behind, table)
    links = [
        f"[{what}]({slug(table)}-{kind}.md)" for kind, (what, _) in _further(table, {}).items()
    ]
    yield f"More of this table: {', '.join(links)}."


def _figure(file: str, caption: str) -> str:
    """A figure with its caption, linked to its full size."""
    return f"[![{caption}](figures/{file})](figures/{file})\n\n*{caption}*"


def _kinds(figures: Sequence[tuple[str, str]]) -> list[tuple[str, str, str]]:
    return [(file.removesuffix(".svg").rpartition("-")[2], file, text) for file, text in figures]


def _further(table: Table, figures: Figures) -> dict[str, tuple[str, list[str]]]:
    """Kind of page -> its title and its parts, those that have something to say."""
    rest = [
        _figure(file, text)
        for kind, file, text in _kinds(figures.get(slug(table), ()))
        if kind not in AHEAD
    ]
    found = {
        "recipes": ("recipes and training seeds", _recipes(table)),
        "attacks": ("every attack", _attacks(table)),
        "minimum": ("how near to the minimum", _minimum(table)),
        "models": ("models and what they were measured with", [*_models(table), *rest]),
    }
    return {kind: page for kind, page in found.items() if page[1]}


def _recipes(table: Table) -> list[str]:
    told = [text] if (text := notes.told(table)) else []
    able = [row for row in table.ranked if row.recipe_rank is not None]
    able.sort(key=lambda row: row.seeds.mean.mean)
    parts = ["## Ranks of recipes", _rows(cells.of_recipe, able, table)] if able else []
    rows = [r for r in table.rows if len(r.seeds.counted) > 1 or len(r.seeds.left_out) > 1]
    if rows:
        parts += ["## Training seeds", notes.SEEDS, _rows(cells.of_seed, rows, table)]
    if table.contrasts:
        text = _render([cells.of_contrast(found) for found in table.contrasts])
        parts += ["## Contrasts between recipes", notes.contrasts(table), text]
    return [*told, *parts]


def _attacks(table: Table) -> list[str]:
    parts = ["## Success and norm", _attack_note(table), _rows(cells.of_attacks, table.rows, table)]
    parts += ["## RFC under every attack, with n kept samples", notes.OWN]
    parts += [_rows(cells.of_frequencies, table.rows, table)]
    parts += ["## RFC on the samples that all models keep", notes.common(table)]
    return parts + ([] if table.common.why else [_rows(cells.of_common, table.passing, table)])


def _minimum(table: Table) -> list[str]:
    """How near the minimal attacks come to the minimum: by witnesses, or beside the board's own."""
    tested = [r for r in table.rows if any(a.optimality for a in r.model.attacks.values())]
    parts = []
    if tested:
        parts += ["## Against witnesses", notes.witnesses(table)]
        parts += [_rows(cells.of_witnesses, tested, table)]
    beside = [row for row in table.rows if row.excess]
    if beside:
        parts += ["## Excess over the minimum", notes.EXCESS]
        parts += [_rows(cells.of_excess, beside, table)]
    return parts


def _models(table: Table) -> list[str]:
    return [_rows(cells.of_model, table.rows, table)]


def _rows(
    made: Callable[[Row, Table], Mapping[str, str]], rows: Sequence[Row], table: Table
) -> str:
    return _render([made(row, table) for row in rows])


def _render(rows: Sequence[Mapping[str, str]]) -> str:
    return tabular(rows, "github", left=WORDS)


def _attack_note(table: Table) -> str:
    texts = []
    for name, spec in table.rules.attacks.items():
        said = spec.describe()
        budget = "minimal" if spec.minimal else f"budget {said['budget']:.4g}"
        scale = " per input value" if said.get("budget_scale") == "mean" else ""
        texts.append(f"{name}: {NORMS[spec.norm]}, {budget}{scale}")
    return (
        "Success over the n clean-correct samples / median norm over them, an unfooled sample "
        "counting as infinite (norms are sums over the whole image). " + "; ".join(texts) + "."
    )


def _flag_list() -> str:
    return "\n".join(f"- **{markdown(flag)}**: {text}" for flag, text in MEANINGS.items())


def index(board: Board) -> str:
    """Return the index page, but for the links to other pages (`bench.board.beside`)."""
    parts = [INDEX_TITLE, *(markdown(text) for text in lead(board.tables)), CAUTION]
    parts += ["One page to sort, filter, plot and compare: [index.html](index.html) (open the "]
    parts[-1] += "file, it needs no network). All numbers: [leaderboard.csv](leaderboard.csv)."
    parts += [MARK]
    rows = [_of_table(table) for table in board.tables]
    parts += [_render(rows) if rows else "No submissions yet."]
    if board.unusable:
        parts += ["## Not shown"]
        parts += [
            _render(
                [
                    {"Model": markdown(u.path.stem), "Why": markdown(u.reason.split("; ")[0])}
                    for u in board.unusable
                ]
            )
        ]
    parts += ["Made by `bench leaderboard` from `submissions/`; never edited by hand."]
    return "\n\n".join(parts) + "\n"


def _of_table(table: Table) -> dict[str, str]:
    best = [markdown(row.name) for row in table.ranked if row.group == "a"]
    more = f" and {len(best) - 6} more" if len(best) > 6 else ""
    entry = table.rules.dataset
    return {
        "Data set": f"[{markdown(entry.title)}]({entry.name}.md)",
        "Protocol": markdown(heading(table)),
        "Hash": f"`{table.rules.hash[:16]}`",
        "Ranked": str(len(table.ranked)) if table.ranks else "its protocol does not rank",
        "Not ranked": str(len(table.unranked)),
        "Tie group a of checkpoints (lowest RFC)": ", ".join(best[:6]) + more,
    }
